from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from redis import Redis

from service.trajectory.embedded import EmbeddedRedis
from tests.service.api.gateways import running_gateway


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def redis(redis_server: EmbeddedRedis) -> str:
    """URL of a real Redis that is empty at the start of the test."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
async def gateway(redis: str) -> AsyncIterator[httpx.AsyncClient]:
    async with running_gateway(redis) as client:
        yield client
