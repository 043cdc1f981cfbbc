"""Valid requests spoilt at random: whatever comes, the answer is foreseen, in time, and no batch-mate suffers."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from service.api.schemas import Problem, SenseResponse
from service.trajectory.embedded import EmbeddedRedis
from tests.service.api.gateways import both_engines, running_gateway
from tests.service.api.requests import Json, city_frame, city_scene, room_frame, room_scene, street_frame

TIMEOUT_S = 20.0
MATE = city_frame("mate", seed=7, scene="mate")
MATE_SCENE = city_scene("mate", seed=7)
FRAMES = [
    city_frame("ue", scene="s0", text="where is it?", tasks=["los"]),
    room_frame(),
    street_frame(carrier_hz=28e9, distance_m=80.0, path=True),
]
SCENES = [city_scene("s0"), room_scene()]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["s0", "room", "city", "indoor", "street", "position", "float32", "complex64", 0, -1, 2**31, 1e308, [32, 64]]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


class Client:
    """Posts to one running application from tests that are not coroutines."""

    def __init__(self, runner: asyncio.Runner, gateway: httpx.AsyncClient) -> None:
        self._runner = runner
        self._gateway = gateway
        self.mate = self.post({"scenes": [MATE_SCENE], "frames": [MATE]}).json()["results"][0]

    def post(self, body: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._runner.run(self._post(content))

    async def _post(self, content: bytes) -> httpx.Response:
        async with asyncio.timeout(TIMEOUT_S):
            return await self._gateway.post("/v1/sense", content=content, headers={"content-type": "application/json"})


@pytest.fixture(scope="module")
def client(redis_server: EmbeddedRedis) -> Iterator[Client]:
    with Redis.from_url(redis_server.url) as redis:
        redis.flushall()
    with asyncio.Runner() as runner:
        context = running_gateway(redis_server.url, both_engines(), max_batch_frames=8, max_batch_scenes=4)
        gateway = runner.run(context.__aenter__())
        yield Client(runner, gateway)
        runner.run(context.__aexit__(None, None, None))


def spots(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of everything within a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in children:
        yield from spots(child, (*path, step))


@st.composite
def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """The value with one to three changes somewhere in it."""
    whole = {"": copy.deepcopy(value)}
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in spots(whole) if path]))
        parent: Any = whole
        for step in path[:-1]:
            parent = parent[step]
        old = parent[path[-1]]
        change = draw(st.sampled_from(["replace", "delete", "add", "edit"]))
        if change == "delete" and len(path) > 1:
            del parent[path[-1]]
        elif change == "add" and isinstance(old, dict):
            old[draw(st.text(max_size=8))] = copy.deepcopy(draw(values))
        elif change == "edit" and isinstance(old, str) and old:
            at = draw(st.integers(0, len(old) - 1))
            parent[path[-1]] = old[:at] + draw(st.text(max_size=2)) + old[at + draw(st.integers(0, 2)) :]
        else:
            parent[path[-1]] = copy.deepcopy(draw(values))  # later changes must not reach the strategy
    return whole[""]


def check(response: httpx.Response) -> Json:
    """The body of a foreseen answer."""
    assert response.status_code in (200, 400, 404, 409, 413, 422), response.text
    if response.status_code == 200:
        SenseResponse.model_validate_json(response.content)
        assert all(result["status"] != 500 for result in response.json()["results"])
    else:
        Problem.model_validate_json(response.content)
    body: Json = response.json()
    return body


many = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@many
@given(frames=spoilt(FRAMES), scenes=spoilt(SCENES))
def test_spoilt_frames_and_scenes_leave_a_good_frame_alone(client: Client, frames: Any, scenes: Any) -> None:
    frames, scenes = (list(spoilt) if isinstance(spoilt, list) else [spoilt] for spoilt in (frames, scenes))
    body = check(client.post({"scenes": [MATE_SCENE, *scenes[:3]], "frames": [*frames[:3], MATE]}))
    assert {**body["results"][-1], "index": 0} == client.mate


@many
@given(body=spoilt({"scenes": SCENES, "frames": FRAMES}))
def test_spoilt_request_is_answered_as_foreseen(client: Client, body: Any) -> None:
    check(client.post(body))


@many
@given(at=st.integers(0, 10**6), removed=st.integers(0, 8), inserted=st.binary(max_size=8))
def test_spoilt_bytes_are_answered_as_foreseen(client: Client, at: int, removed: int, inserted: bytes) -> None:
    body = json.dumps({"frames": FRAMES, "scenes": SCENES}).encode()
    at %= len(body)
    check(client.post(body[:at] + inserted + body[at + removed :]))
