"""Sites that are sensed by radio alone: carriers, measured distances and whole paths."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from service.api.schemas import SitesResponse, TrajectoryResponse
from service.normalizers.cues import gain
from service.trajectory.embedded import EmbeddedRedis
from tests.service.api.bad_frames import Bad
from tests.service.api.gateways import both_engines, running_gateway
from tests.service.api.requests import (
    NOW_S,
    Json,
    channel,
    city_frame,
    city_scene,
    room_frame,
    room_scene,
    street_frame,
    tensor,
    without,
)
from tests.service.api.test_bad_frames import check_problem
from tests.service.api.test_sense import sense
from tests.service.contract.examples import STREET

LOW_HZ, HIGH_HZ = 3.55e9, 28e9  # the second is what the site has where a frame does not say


@pytest.fixture
async def gateway(redis: str) -> AsyncIterator[httpx.AsyncClient]:
    async with running_gateway(redis, both_engines()) as client:
        yield client


def moving(step: float, **fields: Any) -> Json:
    """A frame of a UE whose measured distance is 10 m a step, and another channel in every step."""
    return street_frame(seed=int(step), timestamp_s=NOW_S + step, distance_m=10.0 * step, **fields)


def enu_m(*distances_m: float, seeds: list[int]) -> list[float]:
    """Where the fake engine sees a UE: as far forward as its distance, as far to the left as its gain; on average."""
    left = np.mean([gain(channel(seed)[None]).item() for seed in seeds])
    return STREET.to_enu(np.array([np.mean(distances_m), left])).tolist()


async def track(gateway: httpx.AsyncClient, ue: str = "ue-1") -> Json:
    response = await gateway.get(f"/v1/trajectories/street/{ue}")
    assert response.status_code == 200, response.text
    TrajectoryResponse.model_validate_json(response.content)
    body: Json = response.json()
    return body


async def test_frame_is_answered_with_position_and_line_of_sight(gateway: httpx.AsyncClient) -> None:
    (answer,) = await sense(gateway, [street_frame(distance_m=80.0)])
    assert (answer["status"], answer["site"], answer["ue"]) == (200, "street", "ue-1")
    assert answer["position"]["enu_m"] == pytest.approx(enu_m(80.0, seeds=[0]), abs=0.05)
    assert answer["los"]["line_of_sight"] == (answer["los"]["probability"] >= 0.5)
    assert (answer["activity"], answer["path"], answer["degraded"]) == (None, None, [])


@pytest.mark.parametrize(
    ("fields", "cues"),
    [
        ({}, {"csi": 0.333333, "aoa": 0.333333, "distance": 0.0, "gain": 0.333333}),
        ({"distance_m": 0.0}, {"csi": 0.25, "aoa": 0.25, "distance": 0.25, "gain": 0.25}),
        ({"distance_m": 100_000}, {"csi": 0.25, "aoa": 0.25, "distance": 0.25, "gain": 0.25}),
    ],
)
async def test_explanation_weighs_the_cues_that_there_were(
    gateway: httpx.AsyncClient, fields: Json, cues: Json
) -> None:
    (answer,) = await sense(gateway, [street_frame(**fields)])
    assert answer["explanation"]["cues"] == cues
    assert answer["explanation"]["gate"] is None


async def test_each_carrier_is_calibrated_apart(gateway: httpx.AsyncClient) -> None:
    low, high, unsaid = await sense(
        gateway,
        [street_frame("low", carrier_hz=LOW_HZ), street_frame("high", carrier_hz=HIGH_HZ), street_frame("unsaid")],
    )
    assert {**unsaid, "index": 1, "ue": "high"} == high
    assert [answer["explanation"]["carrier_hz"] for answer in (low, high)] == [LOW_HZ, HIGH_HZ]
    assert low["position"]["enu_m"] == high["position"]["enu_m"]  # the same channel
    assert [answer["position"]["region"]["semi_major_m"] for answer in (low, high)] == [3.0, 2.0]
    for answer, scale in ((low, 2.5), (high, 1.5)):
        assert np.allclose(answer["position"]["covariance_m2"], scale * np.eye(2), atol=1e-9)
    odds = [np.log(1 / answer["los"]["probability"] - 1) for answer in (low, high)]
    assert odds[1] == pytest.approx(3 * odds[0], rel=1e-3)  # of the temperatures
    assert [answer["explanation"]["out_of_distribution"] for answer in (low, high)] == [True, False]


async def test_frames_of_one_batch_keep_their_own_answers(gateway: httpx.AsyncClient) -> None:
    frames = [
        city_frame("a", seed=1),
        street_frame("b", seed=2, distance_m=30.0),
        room_frame("c"),
        street_frame("d", seed=3, carrier_hz=LOW_HZ),
        street_frame("e", seed=4, distance_m=90.0, carrier_hz=LOW_HZ, path=True),
    ]
    together = await sense(gateway, frames, [room_scene()])
    for index, frame in enumerate(frames):
        (alone,) = await sense(gateway, [{**frame, "ue": f"alone-{index}"}], [room_scene()])
        assert {**alone, "index": index, "ue": frame["ue"]} == together[index]


BAD = [
    Bad(
        "an unknown carrier",
        street_frame(carrier_hz=2.6e9),
        422,
        "frames[{}].carrier_hz",
        "a carrier of site street in Hz (3550000000, 28000000000)",
        "2600000000.0",
    ),
    Bad("no csi", without(street_frame(), "csi"), 422, "frames[{}].csi", "a channel, for the model of site street", ""),
    Bad(
        "a scene",
        street_frame(scene="view"),
        422,
        "frames[{}].scene",
        "none, for the model of site street senses by radio alone",
        "scenes[0]",
        [city_scene("view", site="street")],
    ),
    Bad(
        "a text",
        street_frame(text="where is it?"),
        422,
        "frames[{}].text",
        "none, for the model of site street senses by radio alone",
        "'where is it?'",
    ),
    Bad("an activity", street_frame(tasks=["activity"]), 422, "frames[{}].tasks", "(position, los)", "'activity'"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_bad_frame_fails_alone(gateway: httpx.AsyncClient, bad: Bad) -> None:
    mate = street_frame("mate", seed=5, distance_m=50.0)
    (expected,) = await sense(gateway, [mate])
    failed, answered = await sense(gateway, [bad.frame, mate], bad.scenes)
    check_problem(failed["error"], bad, 0)
    assert {**answered, "index": 0} == expected


async def test_path_has_every_vertex_oldest_first_and_the_frame_itself_as_the_last(gateway: httpx.AsyncClient) -> None:
    carriers_hz = [HIGH_HZ, LOW_HZ, HIGH_HZ, LOW_HZ]
    for step in range(3):
        (answer,) = await sense(gateway, [moving(step, carrier_hz=carriers_hz[step])])
        assert answer["path"] is None
    (answer,) = await sense(gateway, [moving(3, carrier_hz=carriers_hz[3], path=True)])
    vertices, centroid = answer["path"]["vertices"], answer["path"]["centroid"]
    assert [vertex["timestamp_s"] for vertex in vertices] == [NOW_S + step for step in range(4)]
    for step, (vertex, carrier_hz) in enumerate(zip(vertices, carriers_hz, strict=True)):
        assert vertex["position"]["enu_m"] == pytest.approx(enu_m(10.0 * step, seeds=[step]), abs=0.05)
        quantile = {HIGH_HZ: 3.0, LOW_HZ: 5.0}[carrier_hz]  # each vertex by the carrier that it was measured on
        assert vertex["position"]["region"]["semi_major_m"] == pytest.approx(quantile**0.5, abs=1e-3)
        assert vertex["position"]["region"]["confidence"] == 90
    assert vertices[-1]["los"] == answer["los"]  # by the same logit and temperature
    assert centroid["enu_m"] == pytest.approx(enu_m(0, 10, 20, 30, seeds=[0, 1, 2, 3]), abs=0.05)
    assert centroid["region"]["semi_major_m"] == pytest.approx(0.5 * 6.0**0.5, abs=1e-3)  # that of the newest carrier


@pytest.mark.parametrize("tasks", [["position"], ["los"], ["los", "position"]])
async def test_path_answers_only_the_tasks_asked_for(gateway: httpx.AsyncClient, tasks: list[str]) -> None:
    *_, answer = await sense(gateway, [moving(0), moving(1), moving(2, path=True, tasks=tasks)])
    assert len(answer["path"]["vertices"]) == 3
    for vertex in answer["path"]["vertices"]:
        assert {task for task in ("position", "los") if vertex[task] is not None} == set(tasks)
    assert (answer["path"]["centroid"] is not None) == ("position" in tasks)


async def test_only_the_frames_that_ask_for_a_path_get_one(gateway: httpx.AsyncClient) -> None:
    frames = [street_frame(f"ue-{i}", seed=i, distance_m=10.0 * i, path=i % 2 == 1) for i in range(4)]
    answers = await sense(gateway, frames)
    assert [answer["path"] is not None for answer in answers] == [False, True, False, True]
    for answer in (answers[1], answers[3]):
        (vertex,) = answer["path"]["vertices"]
        assert vertex["position"]["enu_m"] == answer["path"]["centroid"]["enu_m"] == answer["position"]["enu_m"]


async def test_trajectory_endpoint_answers_every_vertex_and_the_whole_path(gateway: httpx.AsyncClient) -> None:
    posted = [
        (await sense(gateway, [moving(step, carrier_hz=[HIGH_HZ, LOW_HZ][step % 2], path=True)]))[0]
        for step in range(5)
    ]
    body = await track(gateway)
    assert body["vertices"] == [
        {name: answer[name] for name in ("timestamp_s", "position", "los", "activity")} for answer in posted
    ]
    assert body["path"] == posted[-1]["path"]


async def test_trajectory_keeps_sixteen_steps_and_eight_where_the_model_fuses_no_more(
    gateway: httpx.AsyncClient,
) -> None:
    for step in range(18):
        city = city_frame(seed=step, timestamp_s=NOW_S + step / 10)
        radio, other = await sense(gateway, [moving(step / 10, path=True), city])
        for answer, most in ((radio, 16), (other, 8)):
            length = answer["explanation"]["trajectory_length"]
            assert length == min(step + 1, most)
            assert answer["explanation"]["step_weight"] == pytest.approx([1 / length] * length, abs=1e-6)
        assert len(radio["path"]["vertices"]) == radio["explanation"]["trajectory_length"]
    body = await track(gateway)
    assert [vertex["timestamp_s"] for vertex in body["path"]["vertices"]] == [NOW_S + s / 10 for s in range(2, 18)]
    assert len(body["vertices"]) == 16


async def test_late_frame_takes_its_place_by_its_time_and_only_once(redis: str) -> None:
    async with running_gateway(redis, both_engines(), late_tolerance_s=5.0) as gateway:
        for step in (0, 1, 3):
            await sense(gateway, [moving(step)])
        late = moving(2, carrier_hz=LOW_HZ, path=True)
        (answer,) = await sense(gateway, [late])
        assert [v["timestamp_s"] - NOW_S for v in answer["path"]["vertices"]] == [0, 1, 2]  # those up to it
        assert answer["explanation"]["trajectory_length"] == len(answer["explanation"]["step_weight"]) == 3
        assert await sense(gateway, [late]) == [answer]  # a retry
        assert await sense(gateway, [late, late]) == [answer, {**answer, "index": 1}]
        whole = (await track(gateway))["path"]["vertices"]
        assert [vertex["timestamp_s"] - NOW_S for vertex in whole] == [0, 1, 2, 3]
        assert [round(vertex["position"]["region"]["semi_major_m"] ** 2) for vertex in whole] == [3, 3, 5, 3]
        for conflicting in ({**late, "distance_m": 21.0}, without(late, "carrier_hz"), without(late, "distance_m")):
            refused, _ = await sense(gateway, [conflicting, moving(3)])
            assert (refused["status"], refused["error"]["field"]) == (409, "frames[0].timestamp_s")
        too_late = {**moving(0), "timestamp_s": NOW_S - 2.5}
        refused, newest = await sense(gateway, [too_late, moving(4, path=True)])
        assert refused["status"] == 409
        assert [v["timestamp_s"] - NOW_S for v in newest["path"]["vertices"]] == [0, 1, 2, 3, 4]


async def test_without_redis_each_frame_is_answered_alone_and_says_so() -> None:
    with EmbeddedRedis() as server:
        async with running_gateway(server.url, both_engines()) as gateway:
            await sense(gateway, [moving(1)])
            server.stop()
            (answer,) = await sense(gateway, [moving(2, carrier_hz=LOW_HZ, path=True)])
    assert answer["degraded"] == ["trajectory"]
    assert answer["explanation"]["trajectory_length"] == 1
    assert answer["explanation"]["carrier_hz"] == LOW_HZ
    assert answer["position"]["region"]["semi_major_m"] == 3.0
    (vertex,) = answer["path"]["vertices"]
    assert (vertex["timestamp_s"], vertex["position"]["enu_m"]) == (NOW_S + 2, answer["position"]["enu_m"])


async def test_answers_can_be_compared_with_labels(gateway: httpx.AsyncClient) -> None:
    (answer,) = await sense(gateway, [street_frame(distance_m=40.0)])
    label = {"site": "street", "ue": "ue-1", "timestamp_s": NOW_S, "position_enu_m": answer["position"]["enu_m"]}
    response = await gateway.post("/v1/labels", json={"labels": [label]})
    (result,) = response.json()["results"]
    assert (result["position_error_m"], result["region_covered"]) == (pytest.approx(0.0, abs=1e-3), True)


async def test_sites_are_listed_with_their_carriers(gateway: httpx.AsyncClient) -> None:
    response = await gateway.get("/v1/sites")
    SitesResponse.model_validate_json(response.content)
    carriers_hz = {site["name"]: (site["carrier_hz"], site["carriers_hz"]) for site in response.json()["sites"]}
    assert carriers_hz == {"city": (28e9, [28e9]), "indoor": (None, []), "street": (28e9, [LOW_HZ, HIGH_HZ])}


@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-20, 1e20, 3.4e38, -3.4e38])
async def test_any_finite_channel_is_answered(gateway: httpx.AsyncClient, size: float) -> None:
    numbers = np.full((32, 64), complex(size, size), np.complex64)
    (answer,) = await sense(gateway, [street_frame(csi=tensor(numbers), path=True)])
    assert answer["status"] == 200
