"""A request seen from outside: its id, and its line in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import LogCapture

from service.api.problems import CONTENT_TYPE
from service.engine.fake import FakeEngine
from tests.service.api.gateways import fake_engines, running_app, running_gateway
from tests.service.api.requests import city_frame
from tests.service.contract.examples import manifest


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """The lines of the log, ids included, as they come."""
    capture, before = LogCapture(), structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries
    structlog.configure(**before)


async def test_answer_carries_the_id_of_its_request(gateway: httpx.AsyncClient) -> None:
    for path, status in (("/healthz", 200), ("/nowhere", 404), ("/v1/trajectories/city/nobody", 404)):
        response = await gateway.get(path, headers={"X-Request-Id": "caller:7/a.b=_+-"})
        assert response.status_code == status
        assert response.headers.get_list("x-request-id") == ["caller:7/a.b=_+-"]


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, 'a"b', "naïve", "a\tb"])
async def test_request_without_a_legible_id_gets_one_of_its_own(gateway: httpx.AsyncClient, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-Id": given.encode("latin-1")}
    made = [(await gateway.get("/healthz", headers=headers)).headers["x-request-id"] for _ in range(2)]
    assert all(len(request_id) == 32 and request_id.isalnum() for request_id in made)
    assert made[0] != made[1]


async def test_a_request_is_a_line_without_anything_that_it_holds(gateway: httpx.AsyncClient, lines: list[Any]) -> None:
    await gateway.post("/v1/sense", json={"frames": [city_frame("secret-ue")]}, headers={"X-Request-Id": "r-1"})
    await gateway.get("/v1/trajectories/city/secret-ue?token=secret", headers={"X-Request-Id": "r-2"})
    await gateway.get("/secret")
    for path in ("/healthz", "/readyz", "/metrics"):
        await gateway.get(path)
    told = [line for line in lines if line["log_level"] == "info"]
    assert [(line["event"], line["method"], line["route"], line["status"]) for line in told] == [
        ("request", "POST", "/v1/sense", 200),
        ("request", "GET", "/v1/trajectories/{site}/{ue:path}", 200),
        ("request", "GET", "unmatched", 404),
    ]
    assert [line["request_id"] for line in told[:2]] == ["r-1", "r-2"]
    assert (told[0]["frames"], "failed" in told[0], told[2]["reason"]) == (1, False, "not_found")
    assert all(0 < line["duration_s"] < 30 for line in told)
    assert "secret" not in str(lines)
    assert [line["route"] for line in lines if line["log_level"] == "debug"] == ["/healthz", "/readyz", "/metrics"]


async def test_line_says_how_many_failed_and_why(gateway: httpx.AsyncClient, lines: list[Any]) -> None:
    lost = city_frame("lost", site="secret")
    await gateway.post("/v1/sense", json={"frames": [city_frame(), lost, {"site": "city"}, lost]})
    await gateway.post("/v1/sense", json={"frames": [lost]})
    await gateway.post("/v1/sense", json={"frames": "secret"})
    truth = {"site": "city", "ue": "secret", "timestamp_s": 1.0, "line_of_sight": True}
    await gateway.post("/v1/labels", json={"labels": [truth, {**truth, "line_of_sight": "secret"}]})
    await gateway.get("/v1/trajectories/city/secret")
    told = [{name: line[name] for name in ("frames", "labels", "failed", "reason") if name in line} for line in lines]
    assert told == [
        {"frames": 4, "failed": {"unknown_site": 2, "invalid_input": 1}},
        {"frames": 1, "failed": {"unknown_site": 1}},
        {"reason": "invalid_input"},
        {"labels": 2, "failed": {"unknown_frame": 1, "invalid_input": 1}},
        {"reason": "unknown_ue"},
    ]
    assert "secret" not in str(lines)


async def test_what_a_model_failed_with_is_logged_once_a_request(redis: str, lines: list[Any]) -> None:
    def broken(graph: str) -> None:
        raise RuntimeError("the device is gone")

    async with running_gateway(redis, fake_engines(broken)) as gateway:
        frames = [city_frame("ue-1"), city_frame("ue-2")]
        await gateway.post("/v1/sense", json={"frames": frames}, headers={"X-Request-Id": "r-4"})
    told = [(line["event"], line.get("error")) for line in lines if line.get("request_id") == "r-4"]
    assert told == [("Inference failed", "RuntimeError: the device is gone"), ("request", None)]


async def test_error_that_nobody_foresaw_is_counted_and_has_an_id_too(
    redis: str, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    async with running_app(redis, {"city": FakeEngine(manifest())}) as app:
        monkeypatch.setattr("service.api.sense.parse_batch", broken)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.005)
            response = await client.post("/v1/sense", json={"frames": [city_frame()]}, headers={"X-Request-Id": "r-3"})
            text = (await client.get("/metrics")).text
    assert (response.status_code, response.headers["content-type"]) == (500, CONTENT_TYPE)
    assert response.headers.get_list("x-request-id") == ["r-3"]
    assert "secret" not in response.text
    assert 'cellsense_request_duration_seconds_count{method="POST",route="/v1/sense",status="500"} 1.0' in text
    assert "cellsense_requests_in_flight 0.0" in text
    assert [line["status"] for line in lines if line.get("request_id") == "r-3"] == [500]
