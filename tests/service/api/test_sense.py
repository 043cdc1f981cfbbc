"""What a batch of good frames is answered with."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from service.api.schemas import SenseResponse, SitesResponse, TrajectoryResponse
from tests.service.api.requests import (
    NOW_S,
    Json,
    base64_of,
    city_frame,
    city_scene,
    detections,
    jpeg,
    returns,
    room_frame,
    room_scene,
    tensor,
    without,
)


async def sense(gateway: httpx.AsyncClient, frames: list[Json], scenes: list[Json] | None = None) -> list[Json]:
    """Results of a request of which at least one frame is answered, checked against the schema."""
    body: Json = {"frames": frames} if scenes is None else {"scenes": scenes, "frames": frames}
    response = await gateway.post("/v1/sense", json=body)
    assert response.status_code == 200, response.text
    SenseResponse.model_validate_json(response.content)
    results: list[Json] = response.json()["results"]
    assert [result["index"] for result in results] == list(range(len(frames)))
    return results


async def test_city_frame_is_answered_with_position_and_line_of_sight(gateway: httpx.AsyncClient) -> None:
    (answer,) = await sense(gateway, [city_frame()])
    assert (answer["status"], answer["site"], answer["ue"]) == (200, "city", "ue-1")
    assert answer["timestamp_s"] == NOW_S
    assert answer["position"]["region"]["confidence"] == 90
    assert answer["los"]["line_of_sight"] == (answer["los"]["probability"] >= 0.5)
    assert answer["activity"] is None  # not among the site's tasks
    assert answer["degraded"] == []


async def test_room_frame_is_answered_with_an_activity_alone(gateway: httpx.AsyncClient) -> None:
    (answer,) = await sense(gateway, [room_frame()], [room_scene()])
    assert answer["position"] is None
    assert answer["los"] is None
    assert answer["activity"]["probability"] == max(answer["activity"]["probabilities"].values())
    assert sum(answer["activity"]["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("scene", "with_csi", "gate"),
    [
        (None, True, {"csi": 1.0, "camera": 0.0, "radar": 0.0, "lidar": 0.0}),
        ({"camera": base64_of(jpeg())}, False, {"csi": 0.0, "camera": 1.0, "radar": 0.0, "lidar": 0.0}),
        ({"radar": tensor(detections())}, False, {"csi": 0.0, "camera": 0.0, "radar": 1.0, "lidar": 0.0}),
        ({"lidar": tensor(returns())}, True, {"csi": 0.5, "camera": 0.0, "radar": 0.0, "lidar": 0.5}),
        ({"radar": tensor(detections(count=0))}, False, {"csi": 0.0, "camera": 0.0, "radar": 1.0, "lidar": 0.0}),
        (without(city_scene(), "id", "site"), True, {"csi": 0.25, "camera": 0.25, "radar": 0.25, "lidar": 0.25}),
    ],
)
async def test_any_combination_of_modalities_is_answered(
    gateway: httpx.AsyncClient, scene: Json | None, with_csi: bool, gate: Json
) -> None:
    frame = city_frame() if with_csi else without(city_frame(), "csi")
    if scene is None:
        (answer,) = await sense(gateway, [frame])
    else:
        (answer,) = await sense(gateway, [{**frame, "scene": "s"}], [{"id": "s", "site": "city", **scene}])
    assert answer["explanation"]["gate"] == gate


async def test_frames_share_a_scene_and_keep_their_own_answers(gateway: httpx.AsyncClient) -> None:
    frames = [city_frame(f"ue-{i}", seed=i, scene="s0" if i % 2 else "s1") for i in range(6)]
    scenes = [city_scene("s0", 1), without(city_scene("s1", 2), "camera")]
    together = await sense(gateway, frames, scenes)
    assert len({str(answer["position"]["enu_m"]) for answer in together}) == 6
    for i, frame in enumerate(frames):
        alone = await sense(gateway, [{**frame, "ue": f"alone-{i}"}], scenes)
        assert {**alone[0], "index": i, "ue": frame["ue"]} == together[i]


async def test_sites_of_one_batch_are_answered_each_by_its_tasks(gateway: httpx.AsyncClient) -> None:
    city, room = await sense(gateway, [city_frame(), room_frame()], [room_scene()])
    assert city["position"] is not None
    assert city["activity"] is None
    assert room["activity"] is not None
    assert room["position"] is None


@pytest.mark.parametrize("tasks", [["position"], ["los"], ["los", "position"], ["los", "los"]])
async def test_only_the_tasks_asked_for_are_answered(gateway: httpx.AsyncClient, tasks: list[str]) -> None:
    (answer,) = await sense(gateway, [city_frame(tasks=tasks)])
    assert {task for task in ("position", "los", "activity") if answer[task] is not None} == set(tasks)


async def test_text_selects_the_tasks_where_none_are_asked_for(gateway: httpx.AsyncClient) -> None:
    by_text, by_tasks = await sense(
        gateway,
        [city_frame("ue-1", text="position"), city_frame("ue-2", text="position", tasks=["position", "los"])],
    )
    answered = {task for task in ("position", "los") if by_text[task] is not None}
    assert len(answered) == 1  # the fake engine hears one task in one word
    assert by_tasks["position"] is not None
    assert by_tasks["los"] is not None


async def test_trajectory_grows_and_enters_the_answer(gateway: httpx.AsyncClient) -> None:
    for step in range(10):
        (answer,) = await sense(gateway, [city_frame(seed=step, timestamp_s=NOW_S + step / 10)])
        length = min(step + 1, 8)
        assert answer["explanation"]["trajectory_length"] == length
        assert answer["explanation"]["step_weight"] == pytest.approx([1 / length] * length, abs=1e-6)


async def test_frames_of_one_ue_in_one_batch_follow_each_other(gateway: httpx.AsyncClient) -> None:
    frames = [city_frame(seed=step, timestamp_s=NOW_S + step / 10) for step in range(3)]
    answers = await sense(gateway, frames)
    assert [answer["explanation"]["trajectory_length"] for answer in answers] == [1, 2, 3]


async def test_the_same_frame_again_is_answered_the_same(gateway: httpx.AsyncClient) -> None:
    request = [city_frame(scene="s0")], [city_scene()]
    first = await sense(gateway, *request)
    assert await sense(gateway, *request) == first


async def test_trajectory_endpoint_answers_every_vertex_from_those_up_to_it(gateway: httpx.AsyncClient) -> None:
    posted = [
        (await sense(gateway, [city_frame("car/7 é", seed=step, timestamp_s=NOW_S + step)]))[0] for step in range(4)
    ]
    response = await gateway.get("/v1/trajectories/city/car%2F7%20%C3%A9")
    TrajectoryResponse.model_validate_json(response.content)
    body = response.json()
    assert (body["site"], body["ue"]) == ("city", "car/7 é")
    assert body["path"] is None  # the model has none
    assert [{**vertex} for vertex in body["vertices"]] == [
        {name: answer[name] for name in ("timestamp_s", "position", "los", "activity")} for answer in posted
    ]


async def test_the_carrier_of_the_site_may_be_named(gateway: httpx.AsyncClient) -> None:
    bare, named = await sense(gateway, [city_frame("ue-1"), city_frame("ue-2", carrier_hz=28e9)])
    assert {**named, "index": 0, "ue": "ue-1"} == bare
    assert bare["explanation"]["carrier_hz"] == 28e9
    assert (bare["explanation"]["cues"], bare["path"]) == (None, None)
    frame = without(city_frame("ue-3", scene="s0"), "csi")
    (answer,) = await sense(gateway, [frame], [city_scene()])
    assert answer["explanation"]["carrier_hz"] is None


async def test_positions_are_in_the_frames_of_the_answer(gateway: httpx.AsyncClient) -> None:
    (answer,) = await sense(gateway, [city_frame()])
    position = answer["position"]
    assert np.allclose(np.array(position["covariance_m2"]), 1.3 * np.eye(2), atol=1e-9)  # the scale of the manifest
    assert position["region"]["semi_major_m"] == pytest.approx(4.6**0.5, abs=1e-3)  # its quantile, unscaled
    assert 0 <= position["region"]["orientation_deg"] < 180
    east_m = (position["wgs84"]["longitude_deg"] - 11.575) * 111_320 * np.cos(np.radians(48.137))
    north_m = (position["wgs84"]["latitude_deg"] - 48.137) * 111_200
    assert np.allclose([east_m, north_m], position["enu_m"], atol=0.5, rtol=0.01)


async def test_sites_are_listed_with_what_can_be_asked_of_them(gateway: httpx.AsyncClient) -> None:
    response = await gateway.get("/v1/sites")
    SitesResponse.model_validate_json(response.content)
    city, indoor = response.json()["sites"]
    assert (city["name"], city["tasks"], city["array"]) == ("city", ["position", "los"], [4, 8])
    assert (indoor["name"], indoor["tasks"], indoor["array"]) == ("indoor", ["activity"], None)
    assert city["artifact"] == {"name": "city-and-indoor", "version": "1.2.0"}


@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-20, 1e20, 3.4e38, -3.4e38])
async def test_any_finite_numbers_are_answered(gateway: httpx.AsyncClient, size: float) -> None:
    scene = city_scene(radar=tensor(np.full((5, 6), size, np.float32)), lidar=tensor(np.full((5, 5), size, np.float32)))
    frame = city_frame(scene="s0", csi=tensor(np.full((32, 64), complex(size, size), np.complex64)))
    (answer,) = await sense(gateway, [frame], [scene])
    assert answer["status"] == 200
