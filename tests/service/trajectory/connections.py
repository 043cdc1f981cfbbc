"""Connections to Redis that are closed again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from service.trajectory.connection import RedisConnection


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[RedisConnection]:
    """A started connection, patient unless the options say otherwise."""
    connection = RedisConnection(url, **{"timeout_s": 5.0, **options})
    await connection.start()
    try:
        yield connection
    finally:
        await connection.close()
