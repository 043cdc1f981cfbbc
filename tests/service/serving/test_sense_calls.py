"""`/v1/sense` straight from its connection: the answers of the framework's route, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import orjson
import pytest

from service.api.sense_calls import SenseCall
from service.engine.fake import FakeEngine
from service.engine.protocol import Inputs, Outputs
from service.pipeline import Asked
from service.pipeline.turns import Entry, _Turn
from tests.service.api.gateways import fake_engines
from tests.service.api.requests import Json, city_frame, room_frame, room_scene
from tests.service.api.scraped import samples_of, total
from tests.service.api.test_operation import Gate
from tests.service.contract.examples import manifest
from tests.service.serving.wire_server import Answer, WireServer, call, post, wire_server

GOOD: Json = {"scenes": [room_scene()], "frames": [room_frame(), city_frame(), {"site": "atlantis"}]}
MESSAGEPACK = "application/vnd.msgpack"


@pytest.fixture
async def wire(tmp_path: Path, redis: str) -> AsyncIterator[WireServer]:
    async with wire_server(tmp_path, fake_engines(), redis=redis, max_body_bytes=1_000_000) as server:
        yield server


def sense(document: object, form: str = "application/json", **headers: str) -> bytes:
    """A request, in JSON or MessagePack."""
    body = orjson.dumps(document) if form == "application/json" else msgspec.msgpack.encode(document)
    return post("/v1/sense", body, **{"content-type": form, **headers})


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def ask(wire: WireServer, *requests: bytes) -> list[Answer]:
    """The answers to requests that are sent at once on one connection."""
    async with wire.connected() as client:
        client.send(b"".join(requests))
        return [await client.answer() for _ in requests]


def counted(wire: WireServer, status: int) -> float:
    samples = samples_of(wire.gateway.metrics.render().decode())
    assert total(samples, "cellsense_requests_in_flight") == 0
    labels = {"route": "/v1/sense", "method": "POST", "status": str(status)}
    return total(samples, "cellsense_request_duration_seconds_count", **labels)


@dataclass(frozen=True)
class Case:
    """A body and what is said of it."""

    body: bytes
    headers: dict[str, str]
    status: int


JSON_TYPE = {"content-type": "application/json"}
CASES = {
    "json": Case(orjson.dumps(GOOD), JSON_TYPE, 200),
    "answered in the other form": Case(orjson.dumps(GOOD), {**JSON_TYPE, "accept": MESSAGEPACK}, 200),
    "messagepack": Case(msgspec.msgpack.encode(GOOD), {"content-type": MESSAGEPACK}, 200),
    "no frame": Case(orjson.dumps({"frames": []}), JSON_TYPE, 422),
    "no good frame": Case(orjson.dumps({"frames": [{"site": "atlantis"}]}), JSON_TYPE, 422),
    "nowhere": Case(orjson.dumps({"frames": [{**city_frame(), "site": "atlantis"}]}), JSON_TYPE, 404),
    "no json": Case(b"{", JSON_TYPE, 400),
    "no messagepack": Case(b"\xc1", {"content-type": MESSAGEPACK}, 400),
    "other type": Case(b"a", {"content-type": "text/plain"}, 415),
    "compressed": Case(b"{}", {**JSON_TYPE, "content-encoding": "gzip"}, 415),
    "too large": Case(b" " * 2_000_000, JSON_TYPE, 413),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_both_ways_answer_alike(wire: WireServer, case: Case) -> None:
    (lean,) = await ask(wire, post("/v1/sense", case.body, **case.headers))
    # A connection that is to be closed is none of ours, and so the framework answers.
    (common,) = await ask(wire, post("/v1/sense", case.body, **case.headers, connection="close"))
    assert lean.status == common.status == case.status
    assert lean.body == common.body
    own = {"x-request-id", "date", "connection"}
    assert {name: value for name, value in lean.headers.items() if name not in own} == {
        name: value for name, value in common.headers.items() if name not in own
    }
    assert lean.headers["x-request-id"] != common.headers["x-request-id"]
    await eventually(lambda: counted(wire, case.status) == 2)
    assert wire.gateway.bodies.inflight_bytes == 0


async def test_it_is_the_lean_way_that_answers(wire: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.gateway.pipeline, "sense", None)  # by which the framework's route answers
    for form in ("application/json", MESSAGEPACK):
        (answer,) = await ask(wire, sense(GOOD, form))
        assert answer.status == 200


async def test_frames_and_tensors_are_answered_in_order_on_one_connection(wire: WireServer) -> None:
    infer, doubled = call(3)
    frames = [city_frame(f"mover-{number}", seed=number) for number in range(6)]
    requests = [part for frame in frames for part in (sense({"frames": [frame]}, MESSAGEPACK), infer)]
    answers = await ask(wire, *requests)
    for number, answer in enumerate(answers[::2]):
        (result,) = msgspec.msgpack.decode(answer.body)["results"]
        assert (answer.status, result["status"], result["ue"]) == (200, 200, f"mover-{number}")
    assert {answer.doubled() for answer in answers[1::2]} == {doubled}


async def test_an_answered_request_is_let_go_of_without_a_search_for_cycles(wire: WireServer) -> None:
    (first,) = await ask(wire, sense({"frames": [city_frame("warm")]}))
    assert first.status == 200
    gc.collect()
    gc.disable()
    try:
        answers = await ask(wire, *(sense({"frames": [city_frame(f"gone-{n}", seed=n)]}) for n in range(5)))
        await asyncio.sleep(0.05)
        kinds = (Asked, Entry, _Turn, SenseCall)
        left = Counter(type(each).__name__ for each in gc.get_objects() if type(each) in kinds)
    finally:
        gc.enable()
    assert [answer.status for answer in answers] == [200] * 5
    assert not left


async def test_the_identity_that_a_caller_gives_comes_back(wire: WireServer) -> None:
    (answer,) = await ask(wire, sense(GOOD, **{"x-request-id": "mine"}))
    assert answer.headers["x-request-id"] == "mine"


async def test_who_goes_away_leaves_its_batch_mates_alone(tmp_path: Path, redis: str) -> None:
    gate = Gate("encode")
    async with wire_server(tmp_path, fake_engines(gate), redis=redis, threads=1) as wire:
        async with wire.connected() as first, wire.connected() as staying:
            first.send(sense({"frames": [city_frame("first")]}))
            await gate.is_reached()
            async with wire.connected() as leaving:
                leaving.send(sense({"frames": [city_frame("leaving", seed=1)]}))
                staying.send(sense({"frames": [city_frame("staying", seed=2)]}))
                await eventually(lambda: wire.gateway.pipeline._turns.queued_rows == 2)
            await eventually(lambda: wire.gateway.pipeline._turns.queued_rows == 1)
            gate.open.set()
            assert [(await first.answer()).status, (await staying.answer()).status] == [200, 200]
        assert (counted(wire, 499), counted(wire, 200)) == (1, 2)
        frames = samples_of(wire.gateway.metrics.render().decode())
        assert total(frames, "cellsense_frames_total", site="city", status="499") == 1
        assert wire.gateway.bodies.inflight_bytes == 0


async def test_an_answer_that_takes_too_long_is_504(tmp_path: Path, redis: str) -> None:
    gate = Gate("fuse")
    async with wire_server(tmp_path, fake_engines(gate), redis=redis, deadline_s=0.2) as wire:
        (answer,) = await ask(wire, sense({"frames": [city_frame()]}))
        assert (answer.status, orjson.loads(answer.body)["title"]) == (504, "Deadline exceeded")
        gate.open.set()


async def test_a_full_queue_says_when_to_come_again(tmp_path: Path, redis: str) -> None:
    gate = Gate("encode")
    serving = wire_server(tmp_path, fake_engines(gate), redis=redis, threads=1, max_queue_rows=1)
    async with serving as wire, wire.connected() as first, wire.connected() as second:
        first.send(sense({"frames": [city_frame("first")]}))
        await gate.is_reached()
        second.send(sense({"frames": [city_frame("second")]}))
        await eventually(lambda: wire.gateway.pipeline._turns.queued_rows == 1)
        (shed,) = await ask(wire, sense({"frames": [city_frame("third")]}))
        assert (shed.status, orjson.loads(shed.body)["title"]) == (503, "Overloaded")
        assert int(shed.headers["retry-after"]) >= 1
        gate.open.set()
        assert [(await first.answer()).status, (await second.answer()).status] == [200, 200]


class Defective(FakeEngine):
    """Fails in a way that nobody foresaw, after the model has run."""

    def fuse(self, inputs: Inputs) -> Outputs:
        return {name: tensor for name, tensor in super().fuse(inputs).items() if name != "ood_score"}


async def test_a_defect_is_a_500_that_tells_nothing_and_is_logged(tmp_path: Path, redis: str) -> None:
    engine = Defective(manifest())
    logged: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(repr(context["exception"])))
    async with wire_server(tmp_path, {site.name: engine for site in engine.manifest.sites}, redis=redis) as wire:
        (answer,) = await ask(wire, sense({"frames": [city_frame()]}))
        assert (answer.status, orjson.loads(answer.body)["title"]) == (500, "Internal error")
        assert b"ood_score" not in answer.body
        assert logged == ["KeyError('ood_score')"]
        assert counted(wire, 500) == 1
