"""Timestamps against each other: within a batch, and against what is buffered."""

from __future__ import annotations

import httpx
import pytest

from tests.service.api.gateways import running_gateway
from tests.service.api.requests import NOW_S, Json, city_frame


async def post(gateway: httpx.AsyncClient, *frames: Json) -> list[Json]:
    """Results, of a refused request too."""
    response = await gateway.post("/v1/sense", json={"frames": frames})
    body = response.json()
    if response.status_code == 200:
        results: list[Json] = body["results"]
        return results
    return [{"index": problem["frame"], "status": problem["status"], "error": problem} for problem in body["errors"]]


def at(offset_s: float, ue: str = "ue-1", seed: int = 0) -> Json:
    return city_frame(ue, seed, timestamp_s=NOW_S + offset_s)


@pytest.mark.parametrize(
    ("late", "got"), [(at(-3), "out of order"), (at(0, seed=9), "duplicated")], ids=["out of order", "duplicated"]
)
async def test_conflict_with_the_buffer_fails_alone(gateway: httpx.AsyncClient, late: Json, got: str) -> None:
    await post(gateway, at(0))
    (refused,) = await post(gateway, late)
    assert refused["status"] == 409
    mate, conflict, other = await post(gateway, at(0, "mate-a", 1), late, at(0, "mate-b", 2))
    assert [mate["status"], other["status"]] == [200, 200]
    assert conflict["status"] == 409
    assert conflict["error"]["field"] == "frames[1].timestamp_s"
    assert got in conflict["error"]["got"]
    assert repr(late["timestamp_s"]) in conflict["error"]["got"]
    alone = await post(gateway, at(0, "mate-c", 1), at(0, "mate-d", 2))
    assert [a["position"] for a in alone] == [mate["position"], other["position"]]


@pytest.mark.parametrize(
    ("late", "got"), [(at(-3), "out of order"), (at(0, seed=9), "duplicated")], ids=["out of order", "duplicated"]
)
async def test_conflict_within_a_batch_fails_the_later_entry_alone(
    gateway: httpx.AsyncClient, late: Json, got: str
) -> None:
    first, conflict, mate = await post(gateway, at(0), late, at(0, "mate", 2))
    assert [first["status"], conflict["status"], mate["status"]] == [200, 409, 200]
    assert got in conflict["error"]["got"]
    assert first["explanation"]["trajectory_length"] == 1


async def test_conflicting_frame_changes_nothing(gateway: httpx.AsyncClient) -> None:
    await post(gateway, at(0), at(1))
    before = (await gateway.get("/v1/trajectories/city/ue-1")).json()
    await post(gateway, at(-2), at(1, seed=9), at(99))
    assert (await gateway.get("/v1/trajectories/city/ue-1")).json() == before


async def test_timestamp_within_the_tolerance_is_taken(redis: str) -> None:
    async with running_gateway(redis, late_tolerance_s=2.0, future_tolerance_s=10.0) as gateway:
        newest, late = await post(gateway, at(9.9), at(8.5, seed=1))
        assert [newest["status"], late["status"]] == [200, 200]
        assert late["explanation"]["trajectory_length"] == 1  # answered from the frames up to its own time
        (later,) = await post(gateway, at(9.95, seed=2))
        assert later["explanation"]["trajectory_length"] == 3


async def test_ues_and_sites_have_trajectories_of_their_own(gateway: httpx.AsyncClient) -> None:
    await post(gateway, at(0))
    (other,) = await post(gateway, at(-3, "ue-2"))
    assert other["status"] == 200
