"""The service under way: health, readiness, metrics, and what happens when a part fails."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from service.api.schemas import Problem
from service.engine.fake import FakeEngine
from service.engine.protocol import Engine
from service.trajectory.embedded import EmbeddedRedis
from tests.service.api.gateways import client_of, fake_engines, running_app, running_gateway
from tests.service.api.requests import NOW_S, Json, city_frame, room_frame, room_scene
from tests.service.contract.examples import CITY, INDOOR, manifest

PATIENCE_S = 20.0


class Gate:
    """Holds an engine's calls of one graph until it is opened."""

    def __init__(self, graph: str) -> None:
        self.graph = graph
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, graph: str) -> None:
        if graph == self.graph:
            self.reached.set()
            assert self.open.wait(PATIENCE_S)

    async def is_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, PATIENCE_S)


class SlowToWarmUp(FakeEngine):
    """Warms up when told to, and then as told."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(manifest())
        self.error = error
        self.go = threading.Event()

    def warm_up(self) -> None:
        assert self.go.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error


def two_engines(city: FakeEngine, room: FakeEngine) -> dict[str, Engine]:
    return {"city": city, "indoor": room}


async def metric(gateway: httpx.AsyncClient, sample: str) -> float:
    text = (await gateway.get("/metrics")).text
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    assert found is not None, f"{sample} is not in\n{text}"
    return float(found[1])


async def queued(gateway: httpx.AsyncClient, rows: int) -> None:
    """Return once that many frames wait for their turn, behind the one turn that runs."""
    async with asyncio.timeout(PATIENCE_S):
        while await metric(gateway, 'cellsense_queue_rows{model="sense"}') != rows:
            await asyncio.sleep(0.005)


async def answer(gateway: httpx.AsyncClient, *frames: Json) -> httpx.Response:
    return await gateway.post("/v1/sense", json={"scenes": [room_scene()], "frames": frames})


@pytest.mark.parametrize("graph", ["encode", "fuse"])
async def test_liveness_does_not_wait_for_inference(redis: str, graph: str) -> None:
    gate = Gate(graph)
    async with running_gateway(redis, fake_engines(gate)) as gateway:
        waiting = asyncio.create_task(answer(gateway, city_frame()))
        await gate.is_reached()
        for path in ("/healthz", "/readyz", "/metrics", "/v1/sites"):
            async with asyncio.timeout(5):
                assert (await gateway.get(path)).status_code == 200
        assert not waiting.done()
        gate.open.set()
        assert (await waiting).status_code == 200


async def test_nothing_is_answered_before_the_models_are_warm(redis: str) -> None:
    engine = SlowToWarmUp()
    async with running_app(redis, {"city": engine}) as app, client_of(app) as gateway:
        for response in (
            await gateway.get("/readyz"),
            await answer(gateway, city_frame()),
            await gateway.get("/v1/trajectories/city/ue-1"),
        ):
            assert response.status_code == 503
            assert response.headers["content-type"] == "application/problem+json"
            assert int(response.headers["retry-after"]) >= 1
        assert (await gateway.get("/healthz")).json() == {"status": "live"}
        assert await metric(gateway, "cellsense_ready") == 0
        engine.go.set()
        while (ready := await gateway.get("/readyz")).status_code == 503:
            await asyncio.sleep(0.005)
        assert ready.json() == {"status": "ready", "buffer": "reachable"}
        assert await metric(gateway, "cellsense_ready") == 1
        assert (await answer(gateway, city_frame())).status_code == 200


async def test_service_that_cannot_warm_up_gives_up(redis: str) -> None:
    engine = SlowToWarmUp(RuntimeError("no memory on the device"))
    engine.go.set()
    gave_up = asyncio.Event()
    async with running_app(redis, {"city": engine}, on_fatal=gave_up.set) as app, client_of(app) as gateway:
        await gave_up.wait()
        problem = Problem.model_validate_json((await gateway.get("/readyz")).content)
        assert (problem.status, problem.title) == (503, "Not ready")
        assert "no memory on the device" in problem.detail


async def test_failure_of_one_model_leaves_the_frames_of_another_alone(redis: str) -> None:
    def broken(graph: str) -> None:
        raise RuntimeError("the device is gone")

    city = FakeEngine(replace(manifest(), name="city", sites=(CITY,)))
    room = FakeEngine(replace(manifest(), name="room", sites=(INDOOR,)), broken)
    async with running_gateway(redis, two_engines(city, room)) as gateway:
        response = await answer(gateway, room_frame(), city_frame())
        failed, answered = response.json()["results"]
        assert response.json()["artifact"] == {"city": {"name": "city", "version": "1.2.0"}}
        assert answered["status"] == 200
        assert failed["status"] == 500
        assert failed["error"]["title"] == "Inference failed"
        assert (await answer(gateway, room_frame())).status_code == 500
        assert (await answer(gateway, city_frame("ue-2"))).status_code == 200  # and it lives on


async def test_without_redis_each_frame_is_answered_alone_and_says_so() -> None:
    with EmbeddedRedis() as server:
        async with running_gateway(server.url) as gateway:
            first = (await answer(gateway, city_frame())).json()["results"][0]
            server.stop()
            response = await answer(gateway, city_frame(timestamp_s=NOW_S + 1), city_frame("ue-2"))
            later, other = response.json()["results"]
            assert (later["status"], other["status"]) == (200, 200)
            assert later["degraded"] == other["degraded"] == ["trajectory"]
            assert later["explanation"]["trajectory_length"] == 1
            assert other["position"] == first["position"]  # the same channel, alone both times
            assert (await gateway.get("/readyz")).json() == {"status": "ready", "buffer": "unreachable"}
            track = await gateway.get("/v1/trajectories/city/ue-1")
            assert (track.status_code, track.json()["title"]) == (503, "Trajectory buffer unavailable")
            assert int(track.headers["retry-after"]) >= 1
            assert await metric(gateway, 'cellsense_frames_degraded_total{reason="trajectory"}') == 2


async def test_full_queue_is_503_with_advice_and_the_waiting_are_answered(redis: str) -> None:
    gate = Gate("encode")
    async with running_gateway(redis, fake_engines(gate), threads=1, max_queue_rows=2) as gateway:
        running = asyncio.create_task(answer(gateway, city_frame("ue-0")))
        await gate.is_reached()
        frames = [city_frame(f"ue-{i}", seed=i) for i in range(1, 6)]
        waiting = [asyncio.create_task(answer(gateway, frame)) for frame in frames]
        done, _ = await asyncio.wait([*waiting], return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 3:
            await asyncio.sleep(0.005)
            done = {task for task in waiting if task.done()}
        for task in done:
            shed = task.result()
            assert (shed.status_code, shed.json()["title"]) == (503, "Overloaded")
            assert int(shed.headers["retry-after"]) >= 1
        gate.open.set()
        responses = await asyncio.gather(running, *waiting)
        assert sorted(response.status_code for response in responses) == [200, 200, 200, 503, 503, 503]
        assert await metric(gateway, 'cellsense_frames_shed_total{reason="queue"}') == 3


async def test_deadline_is_504(redis: str) -> None:
    gate = Gate("fuse")
    async with running_gateway(redis, fake_engines(gate), deadline_s=0.2) as gateway:
        started = time.monotonic()
        response = await answer(gateway, city_frame(), {"site": "atlantis"})
        assert time.monotonic() - started < 5
        assert response.status_code == 504
        assert [problem["status"] for problem in response.json()["errors"]] == [504, 422]
        gate.open.set()


async def post_and_leave(app: FastAPI, frame: Json, leave: asyncio.Event) -> list[Message]:
    """What is sent to a client that closes its connection before it has an answer."""
    incoming = [{"type": "http.request", "body": json.dumps({"frames": [frame]}).encode(), "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if incoming:
            return incoming.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/sense", "query_string": b"", "root_path": ""}
    await app({**scope, "headers": [(b"content-type", b"application/json")]}, receive, send)
    return sent


async def test_client_that_goes_away_leaves_its_batch_mates_alone(redis: str) -> None:
    gate, leave = Gate("encode"), asyncio.Event()
    async with running_app(redis, fake_engines(gate), threads=1) as app, client_of(app) as gateway:
        while (await gateway.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.005)
        first = asyncio.create_task(answer(gateway, city_frame()))
        await gate.is_reached()
        leaving = asyncio.create_task(post_and_leave(app, city_frame("leaving", seed=1), leave))
        staying = asyncio.create_task(answer(gateway, city_frame("staying", seed=2)))
        await queued(gateway, 2)
        leave.set()
        assert [message["status"] for message in await leaving if "status" in message] == [499]
        await queued(gateway, 1)
        gate.open.set()
        assert [(await first).status_code, (await staying).status_code] == [200, 200]
        assert (await gateway.get("/v1/trajectories/city/leaving")).status_code == 404  # nobody computed for nobody
        assert app.state.gateway.bodies.inflight_bytes == 0


async def test_shutdown_answers_those_who_wait(redis: str) -> None:
    gate = Gate("encode")
    async with running_app(redis, fake_engines(gate), threads=1) as app:
        gateway = client_of(app)
        while (await gateway.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.005)
        running = asyncio.create_task(answer(gateway, city_frame()))
        await gate.is_reached()
        waiting = asyncio.create_task(answer(gateway, city_frame("ue-2")))
        await queued(gateway, 1)
        closing = asyncio.create_task(app.state.gateway.pipeline.close())
        refused = await waiting
        assert (refused.status_code, refused.json()["title"]) == (503, "Shutting down")
        assert (await answer(gateway, city_frame("ue-3"))).json()["title"] == "Shutting down"
        gate.open.set()
        await asyncio.gather(running, closing)
    await gateway.aclose()
