"""What breaks a request as a whole: one problem, no frame looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from service.api.schemas import Problem
from tests.service.api.gateways import client_of, running_app, running_gateway
from tests.service.api.requests import Json, city_frame, city_scene

JSON = {"content-type": "application/json"}


def problem_of(response: httpx.Response) -> Problem:
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert problem.status == response.status_code
    assert problem.detail == problem.error
    assert problem.frame is None
    return problem


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"hello",
        b'{"frames": [{"timestamp_s": NaN}]}',
        b'{"frames": [{"timestamp_s": Infinity}]}',
        b'{"frames": [{"timestamp_s": 1e999}]}',
        b'{"frames": []} trailing',
        b'{"frames": ["\xff\xfe"]}',
        b'{"frames": ["\\ud800"]}',
        b"[" * 100_000,
        b'\xef\xbb\xbf{"frames": []}',
    ],
    ids=lambda body: repr(body[:32]),
)
async def test_malformed_json_is_400(gateway: httpx.AsyncClient, body: bytes) -> None:
    problem = problem_of(await gateway.post("/v1/sense", content=body, headers=JSON))
    assert (problem.status, problem.field) == (400, "body")


@pytest.mark.parametrize(
    ("body", "field", "expected", "got"),
    [
        ({"frames": []}, "frames", "1 to 256 frames", "none"),
        ({}, "frames", "a value", "nothing"),
        ({"frames": None}, "frames", "a valid list", "null"),
        ({"frames": {"0": city_frame()}}, "frames", "a valid list", "an object"),
        ({"frames": [city_frame()], "scenes": None}, "scenes", "a valid list", "null"),
        ({"frames": [city_frame()], "mode": 1}, "mode", "only the fields scenes, frames", "an unknown field"),
        ([city_frame()], "body", "an object", "a list of 1"),
        ("frames", "body", "an object", "'frames'"),
        (None, "body", "an object", "null"),
    ],
)
async def test_envelope_that_does_not_fit_is_422(
    gateway: httpx.AsyncClient, body: Any, field: str, expected: str, got: str
) -> None:
    problem = problem_of(await gateway.post("/v1/sense", content=json.dumps(body).encode(), headers=JSON))
    assert (problem.status, problem.field) == (422, field)
    assert expected in (problem.expected or "")
    assert got in (problem.got or "")


@pytest.mark.parametrize(
    ("body", "field", "got"),
    [
        ({"frames": [{}] * 4}, "frames", "4"),
        ({"scenes": [{}] * 3, "frames": [city_frame()]}, "scenes", "3"),
    ],
)
async def test_batch_over_the_limit_is_413(redis: str, body: Json, field: str, got: str) -> None:
    async with running_gateway(redis, max_batch_frames=3, max_batch_scenes=2) as gateway:
        problem = problem_of(await gateway.post("/v1/sense", json=body))
    assert (problem.status, problem.field, problem.got) == (413, field, got)


async def test_batch_at_the_limit_is_answered(redis: str) -> None:
    async with running_gateway(redis, max_batch_frames=3, max_batch_scenes=2) as gateway:
        body = {"scenes": [city_scene("a"), city_scene("b")], "frames": [city_frame(f"ue-{i}") for i in range(3)]}
        assert (await gateway.post("/v1/sense", json=body)).status_code == 200


async def test_body_declared_over_the_limit_is_413(redis: str) -> None:
    async with running_gateway(redis, max_body_bytes=1000) as gateway:
        problem = problem_of(await gateway.post("/v1/sense", json={"frames": [city_frame()]}))
        assert (problem.status, problem.field) == (413, "body")
        assert "at most 1000 bytes" in (problem.expected or "")


async def test_chunked_body_is_cut_off_where_it_passes_the_limit(redis: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b" " * 100

    async with running_gateway(redis, max_body_bytes=1000) as gateway:
        request = gateway.build_request("POST", "/v1/sense", content=endless(), headers=JSON)
        assert "content-length" not in request.headers
        problem = problem_of(await gateway.send(request))
        assert (problem.status, problem.got) == (413, "1100 or more")
        assert sent == 1100


async def test_body_that_does_not_arrive_is_408(redis: str) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async with running_gateway(redis, body_timeout_s=0.05) as gateway:
        problem = problem_of(await gateway.post("/v1/sense", content=stalled(), headers=JSON))
    assert problem.status == 408


async def test_bodies_beyond_the_memory_for_all_of_them_are_turned_away(redis: str) -> None:
    half_sent, finish = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b" " * 600
        half_sent.set()
        await finish.wait()
        yield b"{}"

    async with running_app(redis, max_inflight_bytes=1000) as app, client_of(app) as gateway:
        while (await gateway.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.005)
        first = asyncio.create_task(gateway.post("/v1/sense", content=slow(), headers=JSON))
        await half_sent.wait()
        response = await gateway.post("/v1/sense", content=b" " * 600, headers=JSON)
        assert problem_of(response).status == 503
        assert int(response.headers["retry-after"]) >= 1
        finish.set()
        assert (await first).status_code == 422
        assert app.state.gateway.bodies.inflight_bytes == 0
        shed = 'cellsense_requests_shed_total{reason="memory"} 1.0'
        assert shed in (await gateway.get("/metrics")).text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {**JSON, "content-encoding": "gzip"},
    ],
)
async def test_other_media_types_are_415(gateway: httpx.AsyncClient, headers: dict[str, str]) -> None:
    problem = problem_of(await gateway.post("/v1/sense", content=b"{}", headers=headers))
    assert problem.status == 415
    assert "expected" in problem.detail


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2/sense", 404), ("GET", "/v1/sense", 405), ("DELETE", "/v1/trajectories/city/ue", 405)],
)
async def test_unknown_paths_and_methods_are_problems_too(
    gateway: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await gateway.request(method, path)
    assert problem_of(response).status == status
    assert path in problem_of(response).detail
    assert ("allow" in response.headers) == (status == 405)


@pytest.mark.parametrize(("path", "field"), [("city/nobody", "ue"), ("atlantis/ue-1", "site")])
async def test_trajectory_of_nobody_is_404(gateway: httpx.AsyncClient, path: str, field: str) -> None:
    problem = problem_of(await gateway.get(f"/v1/trajectories/{path}"))
    assert (problem.status, problem.field) == (404, field)
