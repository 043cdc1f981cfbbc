"""A gateway in this process: the whole application, with a real Redis, on a fake engine or on whatever is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from service.api.app import create_app
from service.contract.manifest import Manifest
from service.engine.fake import FakeEngine
from service.engine.fake_radio import FakeRadioEngine
from service.engine.protocol import Engine
from service.settings import Settings
from tests.service.api.requests import NOW_S
from tests.service.contract.examples import manifest, radio_manifest


def fake_engines(
    before: Callable[[str], None] = lambda graph: None, described_by: Manifest | None = None
) -> dict[str, Engine]:
    engine = FakeEngine(described_by or manifest(), before)
    return {site.name: engine for site in engine.manifest.sites}


def both_engines() -> dict[str, Engine]:
    """Sites of both contracts, as of two artifacts."""
    engine = FakeRadioEngine(radio_manifest())
    return {**fake_engines(), **{site.name: engine for site in engine.manifest.sites}}


@asynccontextmanager
async def running_app(
    redis: str,
    engines: Mapping[str, Engine] | None = None,
    now_s: float = NOW_S,
    on_fatal: Callable[[], None] = lambda: None,
    **settings: Any,
) -> AsyncIterator[FastAPI]:
    """The application between its start and its end, ready unless the engines keep it from that."""
    # Patient: in a process that has run a thousand tests, collecting garbage may take as long as Redis is given.
    chosen = Settings(**{"redis": redis, "deadline_s": 30.0, "redis_timeout_s": 10.0, **settings})
    app = create_app(chosen, fake_engines() if engines is None else engines, now_s=lambda: now_s, on_fatal=on_fatal)
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def running_gateway(
    redis: str, engines: Mapping[str, Engine] | None = None, now_s: float = NOW_S, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, once that is ready."""
    async with running_app(redis, engines, now_s=now_s, **settings) as app, client_of(app) as client:
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.005)
        yield client


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """Errors that the application did not foresee are raised in the test, not answered with a 500."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", timeout=30.0)
