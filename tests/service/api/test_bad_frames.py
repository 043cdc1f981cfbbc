"""Every way in which one frame can be bad: refused alone, and failing alone among batch-mates."""

from __future__ import annotations

import httpx
import pytest

from service.api.schemas import Problem
from tests.service.api.bad_frames import BAD, Bad
from tests.service.api.requests import Json, base64_of, city_frame, city_scene, without

MATES = [city_frame("mate-a", seed=1, scene="good"), city_frame("mate-b", seed=2)]
GOOD_SCENE = city_scene("good", seed=3)


def check_problem(problem: Json, bad: Bad, position: int) -> None:
    Problem.model_validate(problem)
    assert problem["status"] == bad.status
    assert problem["field"] == bad.field.format(position)
    assert bad.expected in problem["expected"]
    assert bad.got in problem["got"]
    assert problem["frame"] == position
    assert problem["detail"] == problem["error"]
    assert len(problem["detail"]) < 500


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_bad_frame_is_refused(gateway: httpx.AsyncClient, bad: Bad) -> None:
    response = await gateway.post("/v1/sense", json={"scenes": [GOOD_SCENE, *bad.scenes], "frames": [bad.frame]})
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == bad.status, response.text
    check_problem({**without(response.json(), "errors")}, bad, 0)
    assert response.json()["errors"] == [without(response.json(), "errors")]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_bad_frame_leaves_its_batch_mates_alone(gateway: httpx.AsyncClient, bad: Bad) -> None:
    alone = await gateway.post("/v1/sense", json={"scenes": [GOOD_SCENE], "frames": MATES})
    assert alone.status_code == 200
    body = {"scenes": [GOOD_SCENE, *bad.scenes], "frames": [MATES[0], bad.frame, MATES[1]]}
    response = await gateway.post("/v1/sense", json=body)
    assert response.status_code == 200, response.text
    first, failed, last = response.json()["results"]
    assert [first, {**last, "index": 1}] == alone.json()["results"]  # the same frames again: nothing was appended twice
    assert (failed["index"], failed["status"]) == (1, bad.status)
    check_problem(failed["error"], bad, 1)


async def test_bad_scene_fails_exactly_the_frames_that_refer_to_it(gateway: httpx.AsyncClient) -> None:
    scenes = [city_scene("bad", camera=base64_of(b"no image")), city_scene("good")]
    frames = [city_frame(f"ue-{i}", seed=i, scene=s) for i, s in enumerate(["bad", "good", "bad", "good"])]
    response = await gateway.post("/v1/sense", json={"scenes": scenes, "frames": [*frames, city_frame("ue-4")]})
    results = response.json()["results"]
    assert [result["status"] for result in results] == [422, 200, 422, 200, 200]
    assert {results[i]["error"]["field"] for i in (0, 2)} == {"scenes[0].camera"}
    assert [results[i]["error"]["frame"] for i in (0, 2)] == [0, 2]


async def test_where_every_frame_fails_each_problem_is_told(gateway: httpx.AsyncClient) -> None:
    frames = [city_frame(site="atlantis"), without(city_frame(), "csi"), city_frame(scene="s9")]
    response = await gateway.post("/v1/sense", json={"frames": frames})
    assert response.status_code == 404
    problem = Problem.model_validate_json(response.content)
    assert problem.errors is not None
    assert [(p.frame, p.status) for p in problem.errors] == [(0, 404), (1, 422), (2, 404)]
