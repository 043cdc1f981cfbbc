from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from service.trajectory.embedded import EmbeddedRedis


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as started:
        yield started


@pytest.fixture
async def client(server: EmbeddedRedis) -> AsyncIterator[Redis]:
    """A client of the server, which is empty at the start of the test."""
    client = Redis.from_url(server.url)
    await client.flushall()
    yield client
    await client.aclose()
