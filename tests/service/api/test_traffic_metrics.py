"""Metrics of requests and frames, against what the client of the gateway counted itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import httpx
import pytest

from service.contract.labels import CUES, MODALITIES
from service.metrics.compute import STAGES
from service.trajectory.embedded import EmbeddedRedis
from tests.service.api.gateways import both_engines, fake_engines, running_gateway
from tests.service.api.requests import NOW_S, Json, city_frame, room_frame, room_scene, street_frame
from tests.service.api.scraped import scrape, total
from tests.service.api.test_operation import Gate, queued
from tests.service.contract.examples import manifest

JSON = {"content-type": "application/json"}


def frames_of(response: httpx.Response) -> Counter[int]:
    body = response.json()
    return Counter(result["status"] for result in body.get("results") or body["errors"])


async def post(gateway: httpx.AsyncClient, *frames: Json) -> httpx.Response:
    return await gateway.post("/v1/sense", json={"scenes": [room_scene()], "frames": frames})


async def test_frames_are_counted_as_the_client_counts_them(gateway: httpx.AsyncClient) -> None:
    bad = {"site": "city", "ue": "bad", "timestamp_s": NOW_S, "csi": {"dtype": "complex64", "shape": [1], "data": ""}}
    requests = [
        [city_frame(f"ue-{i}", seed=i) for i in range(20)],
        [city_frame("ue-0", seed=99), room_frame(), city_frame(site="atlantis"), bad],
        [city_frame(site="<script>")],
        [bad, {"site": 1}],
    ]
    seen: Counter[int] = Counter()
    for frames in requests:
        seen += frames_of(await post(gateway, *frames))
    samples = await scrape(gateway)
    assert dict(seen) == {200: 21, 409: 1, 404: 2, 422: 3}
    for status, count in seen.items():
        assert total(samples, "cellsense_frames_total", status=str(status)) == count
    assert total(samples, "cellsense_frames_total", site="city", status="200") == 20
    assert total(samples, "cellsense_frames_total", site="unknown") == 5  # not served, or not to be read
    assert total(samples, "cellsense_frames_failed_total", reason="invalid_input") == 3
    assert total(samples, "cellsense_frames_failed_total", reason="unknown_site") == 2
    assert total(samples, "cellsense_frames_failed_total", reason="timestamp_conflict") == 1
    assert total(samples, "cellsense_frames_shed_total") == 0
    assert "script" not in (await gateway.get("/metrics")).text


async def test_every_frame_is_answered_shed_or_failed(redis: str) -> None:
    gate = Gate("encode")
    async with running_gateway(redis, fake_engines(gate), threads=1, max_queue_rows=1, deadline_s=0.5) as gateway:
        running = asyncio.create_task(post(gateway, city_frame("ue-0")))
        await gate.is_reached()
        waiting = asyncio.create_task(post(gateway, city_frame("ue-1")))
        await queued(gateway, 1)
        seen = frames_of(await post(gateway, city_frame("ue-2"), {"site": 1}))
        seen += frames_of(await running) + frames_of(await waiting)
        gate.open.set()
        samples = await scrape(gateway)
    assert seen == {503: 1, 422: 1, 504: 2}
    assert total(samples, "cellsense_frames_shed_total", reason="queue") == 1
    assert total(samples, "cellsense_frames_shed_total", reason="deadline") == 2
    answered = total(samples, "cellsense_frames_total", status="200")
    shed, failed = (total(samples, f"cellsense_frames_{how}_total") for how in ("shed", "failed"))
    assert total(samples, "cellsense_frames_total") == answered + shed + failed == 4


async def test_requests_are_counted_by_route_method_and_status(gateway: httpx.AsyncClient) -> None:
    before = await scrape(gateway)
    await post(gateway, city_frame())
    await gateway.get("/v1/trajectories/city/ue-1")
    await gateway.get("/v1/trajectories/city/nobody")
    await gateway.get("/nowhere/one")
    await gateway.get("/nowhere/two")
    await gateway.request("BREW", "/v1/sense")
    samples, name = await scrape(gateway), "cellsense_request_duration_seconds_count"
    template = "/v1/trajectories/{site}/{ue:path}"
    for route, method, status, count in (
        ("/v1/sense", "POST", "200", 1),
        (template, "GET", "200", 1),
        (template, "GET", "404", 1),
        ("unmatched", "GET", "404", 2),
        ("/v1/sense", "other", "405", 1),
    ):
        assert total(samples, name, route=route, method=method, status=status) == count, (route, method, status)
    assert total(samples, name, route="/metrics") == total(before, name, route="/metrics") + 1
    assert total(samples, "cellsense_requests_in_flight") == 0  # the scrape itself does not count


async def test_requests_in_flight_and_rows_in_the_queue_are_seen_while_they_last(redis: str) -> None:
    gate = Gate("fuse")
    async with running_gateway(redis, fake_engines(gate), max_run_rows=2) as gateway:
        running = asyncio.create_task(post(gateway, city_frame("ue-0")))
        await gate.is_reached()
        waiting = asyncio.create_task(post(gateway, city_frame("ue-1"), city_frame("ue-2")))
        while total(await scrape(gateway), "cellsense_queue_rows", model="city-and-indoor-fuse") != 2:
            await asyncio.sleep(0.005)
        assert total(await scrape(gateway), "cellsense_requests_in_flight") == 2
        gate.open.set()
        await asyncio.gather(running, waiting)
        samples = await scrape(gateway)
        assert total(samples, "cellsense_requests_in_flight") == total(samples, "cellsense_queue_rows") == 0


async def test_stages_are_counted_once_a_request_and_runs_once_a_batch(gateway: httpx.AsyncClient) -> None:
    await asyncio.gather(*(post(gateway, city_frame(f"ue-{i}", seed=i), city_frame(f"un-{i}")) for i in range(5)))
    samples = await scrape(gateway)
    for stage in STAGES:
        assert total(samples, "cellsense_stage_duration_seconds_count", stage=stage) == 5, stage
    for model in ("city-and-indoor-encode", "city-and-indoor-fuse"):
        runs = total(samples, "cellsense_batch_rows_count", model=model)
        assert 1 <= runs <= 5
        assert total(samples, "cellsense_queue_duration_seconds_count", model=model) == runs
        assert total(samples, "cellsense_batch_rows_sum", model=model) == 10


async def test_what_the_answers_say_is_counted_by_site(gateway: httpx.AsyncClient) -> None:
    frames = [city_frame(f"ue-{i}", seed=i) for i in range(12)] + [room_frame()]
    answers = [r for r in (await post(gateway, *frames)).json()["results"] if r["status"] == 200]
    city, samples = [a for a in answers if a["site"] == "city"], await scrape(gateway)
    clear = sum(answer["los"]["line_of_sight"] for answer in city)
    assert total(samples, "cellsense_los_frames_total", site="city", line_of_sight="true") == clear
    assert total(samples, "cellsense_los_frames_total", site="city", line_of_sight="false") == 12 - clear
    sure = sum(max(a["los"]["probability"], 1 - a["los"]["probability"]) for a in city)
    assert total(samples, "cellsense_confidence_sum", site="city", task="los") == pytest.approx(sure)
    semi_major_m = sum(answer["position"]["region"]["semi_major_m"] for answer in city)
    assert total(samples, "cellsense_region_semi_major_meters_sum", site="city") == pytest.approx(semi_major_m)
    score = sum(answer["explanation"]["ood_score"] for answer in city)
    assert total(samples, "cellsense_ood_score_sum", site="city") == pytest.approx(score)
    for modality in MODALITIES:
        weight = total(samples, "cellsense_gate_weight_sum", site="city", modality=modality)
        assert weight == sum(answer["explanation"]["gate"][modality] for answer in city)
        missing = total(samples, "cellsense_gate_weight_bucket", site="city", modality=modality, le="0.0")
        assert missing == (0 if modality == "csi" else 12)
    (room,) = (answer for answer in answers if answer["site"] == "indoor")
    label = room["activity"]["label"]
    assert total(samples, "cellsense_activity_frames_total", site="indoor", activity=label) == 1
    assert total(samples, "cellsense_trajectory_length_count", site="indoor") == 1
    assert total(samples, "cellsense_region_semi_major_meters_count", site="indoor") == 0


async def test_weights_of_a_router_are_counted_by_site_carrier_and_cue(redis: str) -> None:
    async with running_gateway(redis, both_engines()) as gateway:
        frames = [
            *(street_frame(f"near-{i}", distance_m=10.0) for i in range(3)),  # 28 GHz
            *(street_frame(f"low-{i}", carrier_hz=3.55e9) for i in range(2)),
            city_frame(),
        ]
        assert all(result["status"] == 200 for result in (await post(gateway, *frames)).json()["results"])
        samples = await scrape(gateway)
    router = "cellsense_router_weight"
    for cue in CUES:
        high, low = ({"site": "street", "carrier": carrier, "cue": cue} for carrier in ("28GHz", "3.55GHz"))
        assert total(samples, f"{router}_count", **high) == 3
        assert total(samples, f"{router}_sum", **high) == 3 * 0.25
        assert total(samples, f"{router}_count", **low) == 2
        assert total(samples, f"{router}_sum", **low) == pytest.approx(0 if cue == "distance" else 2 / 3, abs=1e-5)
    assert total(samples, f"{router}_bucket", site="street", carrier="3.55GHz", cue="distance", le="0.0") == 2
    assert total(samples, f"{router}_count", site="city") == 0
    assert total(samples, "cellsense_gate_weight_count", site="street") == 0
    assert total(samples, "cellsense_gate_weight_count", site="city", modality="csi") == 1


async def test_tasks_that_were_not_asked_for_are_not_counted(gateway: httpx.AsyncClient) -> None:
    await post(gateway, city_frame(tasks=["position"]))
    samples = await scrape(gateway)
    assert total(samples, "cellsense_region_semi_major_meters_count", site="city") == 1
    assert total(samples, "cellsense_los_frames_total") == 0


async def test_frames_unlike_the_training_data_are_counted(redis: str) -> None:
    strict = replace(manifest().calibration, ood_threshold={"city": 1e-9, "indoor": 2.5})
    async with running_gateway(redis, fake_engines(described_by=replace(manifest(), calibration=strict))) as gateway:
        answers = (await post(gateway, *(city_frame(f"ue-{i}", seed=i) for i in range(3)))).json()["results"]
        assert all(answer["explanation"]["out_of_distribution"] for answer in answers)
        assert total(await scrape(gateway), "cellsense_ood_frames_total", site="city") == 3


async def test_requests_turned_away_whole_are_counted_but_not_those_for_health(redis: str) -> None:
    async with running_gateway(redis) as gateway:
        await gateway._transport.app.state.gateway.pipeline.close()  # type: ignore[attr-defined]
        for _ in range(2):
            assert (await post(gateway, city_frame())).status_code == 503
            assert (await gateway.get("/readyz")).status_code == 503
        assert total(await scrape(gateway), "cellsense_requests_shed_total", reason="shutdown") == 2


async def test_calls_of_redis_are_timed_and_their_failures_counted() -> None:
    with EmbeddedRedis() as server:
        async with running_gateway(server.url) as gateway:
            await post(gateway, city_frame())
            server.stop()
            await post(gateway, city_frame("ue-2"))
            samples = await scrape(gateway)
    assert total(samples, "cellsense_redis_duration_seconds_count", operation="append") == 2
    assert total(samples, "cellsense_redis_errors_total", operation="append") == 1
    assert samples["cellsense_redis_errors_total", frozenset({("operation", "ping")})] >= 0  # known before it fails
    assert total(samples, "cellsense_frames_degraded_total", reason="trajectory") == 1


async def test_what_serves_a_site_is_said(gateway: httpx.AsyncClient) -> None:
    samples = await scrape(gateway)
    served = {"artifact": "city-and-indoor", "version": "1.2.0", "provider": "Fake"}
    for site in ("city", "indoor"):
        assert total(samples, "cellsense_artifact_info", site=site, **served) == 1
