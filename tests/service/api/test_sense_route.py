"""The lean route of `/v1/sense` and the framework's say the same."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.service.api.gateways import client_of, running_app
from tests.service.api.requests import Json, city_frame, room_frame, room_scene
from tests.service.api.scraped import scrape, total

GOOD: Json = {"scenes": [room_scene()], "frames": [room_frame(), city_frame(), {"site": "atlantis"}]}
REQUESTS: list[dict[str, Any]] = [
    {"json": GOOD},
    {"json": GOOD, "headers": {"accept": "application/vnd.msgpack"}},
    {"json": {"frames": []}},
    {"json": {"frames": [{"site": "atlantis"}]}},
    {"content": b"{", "headers": {"content-type": "application/json"}},
    {"content": b"\xc1", "headers": {"content-type": "application/msgpack"}},
    {"content": b"a", "headers": {"content-type": "text/plain"}},
    {"content": b"{}", "headers": {"content-type": "application/json", "content-encoding": "gzip"}},
    {"content": b" " * 2_000_000, "headers": {"content-type": "application/json"}},
]


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
async def test_both_routes_answer_alike(redis: str, request_: dict[str, Any]) -> None:
    async with running_app(redis, max_body_bytes=1_000_000) as app, client_of(app) as client:
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.005)
        lean = await client.post("/v1/sense", **request_)
        app.middleware_stack = app.build_middleware_stack()  # what is there where requests are traced
        common = await client.post("/v1/sense", **request_)
        assert (lean.status_code, lean.content) == (common.status_code, common.content)
        assert lean.headers["x-request-id"]
        assert {**lean.headers, "x-request-id": ""} == {**common.headers, "x-request-id": ""}
        samples = await scrape(client)
        labels = {"route": "/v1/sense", "method": "POST", "status": str(lean.status_code)}
        assert total(samples, "cellsense_request_duration_seconds_count", **labels) == 2
        assert total(samples, "cellsense_requests_in_flight") == 0


async def test_other_methods_are_left_to_the_framework(gateway: httpx.AsyncClient) -> None:
    assert (await gateway.get("/v1/sense")).status_code == 405
    assert (await gateway.post("/v1/sense/")).status_code in (307, 404)
