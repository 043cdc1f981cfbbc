"""`POST /v1/labels`: truth that comes after the answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from service.api.schemas import LabelsResponse, Problem
from service.trajectory.embedded import EmbeddedRedis
from tests.service.api.gateways import running_gateway
from tests.service.api.requests import NOW_S, Json, city_frame, room_frame, room_scene
from tests.service.api.scraped import scrape, total


def label(ue: str = "ue-1", **truths: Any) -> Json:
    return {"site": "city", "ue": ue, "timestamp_s": NOW_S, **truths}


async def answer(gateway: httpx.AsyncClient, *frames: Json) -> list[Json]:
    response = await gateway.post("/v1/sense", json={"scenes": [room_scene()], "frames": frames})
    results: list[Json] = response.json()["results"]
    await gateway._transport.app.state.gateway.feedback.close()  # type: ignore[attr-defined]  # kept in the background
    return results


async def post(gateway: httpx.AsyncClient, *labels: Json) -> httpx.Response:
    return await gateway.post("/v1/labels", json={"labels": labels})


async def test_label_is_judged_against_what_was_answered(gateway: httpx.AsyncClient) -> None:
    city, room = await answer(gateway, city_frame(), room_frame())
    east_m, north_m = city["position"]["enu_m"]
    truths = {"position_enu_m": [east_m + 3.0, north_m - 4.0], "line_of_sight": city["los"]["line_of_sight"]}
    person = {"site": "indoor", "ue": "person", "timestamp_s": NOW_S, "activity": room["activity"]["label"]}
    response = await post(gateway, label(**truths), person)
    LabelsResponse.model_validate_json(response.content)
    assert response.json()["results"] == [
        {
            "index": 0,
            "status": 200,
            "position_error_m": pytest.approx(5.0, abs=0.002),
            "region_covered": False,
            "line_of_sight_correct": True,
            "activity_correct": None,
        },
        {
            "index": 1,
            "status": 200,
            "position_error_m": None,
            "region_covered": None,
            "line_of_sight_correct": None,
            "activity_correct": True,
        },
    ]
    samples = await scrape(gateway)
    assert total(samples, "cellsense_position_error_meters_sum", site="city") == pytest.approx(5.0, abs=1e-4)
    assert total(samples, "cellsense_region_labels_total", site="city", covered="false") == 1
    assert total(samples, "cellsense_los_labels_total", site="city", correct="true") == 1
    assert total(samples, "cellsense_activity_labels_total", site="indoor", correct="true") == 1


async def test_frame_that_nothing_is_known_of_is_404(gateway: httpx.AsyncClient) -> None:
    await answer(gateway, city_frame())
    response = await post(gateway, label("ue-2", line_of_sight=True))
    problem = Problem.model_validate_json(response.content)
    assert (response.status_code, problem.title, problem.field) == (404, "Unknown frame", "labels[0]")
    assert response.headers["content-type"] == "application/problem+json"


async def test_bad_label_fails_alone(gateway: httpx.AsyncClient) -> None:
    await answer(gateway, city_frame())
    good = label(line_of_sight=True)
    bad = [
        (label(), 422, "labels[1]"),
        (label(line_of_sight="yes"), 422, "labels[2].line_of_sight"),
        (label(position_enu_m=[1.0]), 422, "labels[3].position_enu_m"),
        ({**good, "site": "atlantis"}, 404, "labels[4].site"),
        ({**good, "speed": 3}, 422, "labels[5].speed"),
        ({**good, "timestamp_s": NOW_S + 1}, 404, "labels[6]"),
        ("nonsense", 422, "labels[7]"),
    ]
    response = await post(gateway, good, *(entry for entry, _, _ in bad))
    first, *rest = response.json()["results"]
    assert (response.status_code, first["status"]) == (200, 200)
    assert [(result["status"], result["error"]["field"]) for result in rest] == [(s, f) for _, s, f in bad]
    alone = await post(gateway, *(entry for entry, _, _ in bad))
    assert alone.status_code == 422
    assert len(alone.json()["errors"]) == len(bad)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, "body"),
        (b"[]", 422, "body"),
        (b"{}", 422, "labels"),
        (b'{"labels": []}', 422, "labels"),
        (b'{"labels": [' + b",".join([b"1"] * 257) + b"]}", 413, "labels"),
        (b'{"labels": [{"site": "city", "ue": "a", "timestamp_s": 1e999}]}', 400, "body"),
    ],
)
async def test_envelope_that_does_not_fit(gateway: httpx.AsyncClient, body: bytes, status: int, field: str) -> None:
    response = await gateway.post("/v1/labels", content=body, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert Problem.model_validate_json(response.content).field == field


async def test_without_redis_labels_are_503_and_frames_are_answered() -> None:
    with EmbeddedRedis() as server:
        async with running_gateway(server.url) as gateway:
            server.stop()
            await answer(gateway, city_frame())
            response = await post(gateway, label(line_of_sight=True))
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
            assert total(await scrape(gateway), "cellsense_answers_dropped_total") == 1


async def test_nothing_is_kept_where_the_settings_say_so(redis: str) -> None:
    async with running_gateway(redis, label_ttl_s=0) as gateway:
        await answer(gateway, city_frame())
        assert (await post(gateway, label(line_of_sight=True))).status_code == 404
