from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.errors import BufferUnavailable
from service.trajectory.connection import RedisConnection
from service.trajectory.embedded import EmbeddedRedis
from service.trajectory.script import Script
from tests.service.trajectory.connections import connected
from tests.service.trajectory.proxy import Proxy


class Observer:
    """What was observed: the operation, and whether it went well."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def __call__(self, operation: str, duration_s: float, well: bool) -> None:
        assert 0 <= duration_s < 5
        self.seen.append((operation, well))


async def test_an_embedded_server_lives_as_long_as_the_connection() -> None:
    async with connected("embedded://") as connection:
        await connection.bounded("write", connection.client.set("name", "value"))
        assert await connection.bounded("read", connection.client.get("name")) == b"value"
        assert await connection.reachable()
    assert not await connection.reachable()


async def test_a_server_that_cannot_be_reached_at_the_start_is_no_error(tmp_path: Path) -> None:
    async with connected(f"unix://{tmp_path}/nobody.sock") as connection:
        assert not await connection.reachable()


async def test_a_connection_that_is_not_started_or_closed_says_so() -> None:
    connection = RedisConnection("embedded://")
    with pytest.raises(BufferUnavailable, match="call start"):
        _ = connection.client
    assert not await connection.reachable()
    await connection.close()


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis+cluster://:secret@a", ""])
def test_an_unknown_scheme_is_refused_without_telling_passwords(url: str) -> None:
    with pytest.raises(ValueError, match="begins with one of embedded, redis, rediss, unix") as caught:
        RedisConnection(url)
    assert "secret" not in str(caught.value)


async def test_a_server_comes_and_goes_and_every_call_is_observed(
    server: EmbeddedRedis, client: Redis, tmp_path: Path
) -> None:
    observe, proxy = Observer(), Proxy(server.url, tmp_path)
    script = Script.of("service.trajectory", "append.lua")
    await proxy.start()
    async with connected(proxy.url, observe=observe) as connection:
        assert await connection.reachable()
        await proxy.stop()
        assert not await connection.reachable()
        with pytest.raises(BufferUnavailable, match="check the server and its URL"):
            await connection.run_script("append", script, [(["key"], [b"", 8, 1000, 0])])
        await proxy.start()
        assert await connection.reachable()
        assert await connection.run_script("append", script, []) == []
    await proxy.stop()
    assert observe.seen == [("ping", True), ("ping", False), ("append", False), ("ping", True)]


async def test_a_call_that_was_cancelled_is_no_failure(server: EmbeddedRedis, client: Redis) -> None:
    observe = Observer()
    async with connected(server.url, observe=observe) as connection:
        call = asyncio.create_task(connection.bounded("wait", connection.client.blpop("nothing", timeout=4)))
        while not await client.client_list() or not any(c["cmd"] == "blpop" for c in await client.client_list()):
            await asyncio.sleep(0.005)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert observe.seen == []


@pytest.mark.parametrize("ending", [None, ConnectionError("closed"), TimeoutError()])
async def test_a_cancel_that_the_client_swallows_is_raised_again(ending: Exception | None) -> None:
    observe, asked = Observer(), asyncio.Event()

    async def swallows() -> bytes:
        asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if ending is not None:
                raise ending from None
        return b"PONG"

    async with connected("embedded://", observe=observe) as connection:
        call = asyncio.create_task(connection.bounded("ping", swallows()))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert observe.seen == []


async def test_a_deadline_around_a_call_is_kept_though_the_client_swallows_it() -> None:
    async def swallows() -> bytes:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return b"PONG"
        return b""

    async with connected("embedded://") as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await connection.bounded("ping", swallows())


async def test_a_task_that_is_being_cancelled_may_still_call(server: EmbeddedRedis) -> None:
    """As it does to tidy up."""

    async def tidy_up(connection: RedisConnection) -> bool:
        try:
            await asyncio.sleep(60)
        finally:
            return await connection.reachable()  # noqa: B012

    async with connected(server.url) as connection:
        task = asyncio.create_task(tidy_up(connection))
        await asyncio.sleep(0)
        task.cancel()
        assert await task
