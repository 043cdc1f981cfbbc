from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.errors import BufferUnavailable
from service.trajectory.buffer import TrajectoryBuffer
from service.trajectory.embedded import EmbeddedRedis
from tests.service.trajectory.connections import connected
from tests.service.trajectory.frames import key, steps, vertex
from tests.service.trajectory.proxy import Proxy


@pytest.fixture
async def proxy(server: EmbeddedRedis, client: Redis, tmp_path: Path) -> AsyncIterator[Proxy]:
    proxy = Proxy(server.url, tmp_path)
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.fixture
async def buffer(proxy: Proxy) -> AsyncIterator[TrajectoryBuffer]:
    """A buffer behind the proxy, connected, with the script loaded and one vertex in."""
    async with connected(proxy.url) as connection:
        buffer = TrajectoryBuffer(connection)
        await buffer.append_and_read([key()], [vertex(0)])
        proxy.round_trips = 0
        yield buffer


async def test_a_batch_is_one_round_trip(buffer: TrajectoryBuffer, proxy: Proxy) -> None:
    keys = [key(f"new-{i}") for i in range(600)]
    answers = await buffer.append_and_read(keys, [vertex(1)] * 600)
    assert [steps(answer) for answer in answers] == [[1]] * 600
    assert proxy.round_trips == 1


async def test_a_batch_that_does_not_fit_fails_before_it_travels(buffer: TrajectoryBuffer, proxy: Proxy) -> None:
    with pytest.raises(ValueError, match="expected 2, one a key, got 1"):
        await buffer.append_and_read([key("a"), key("b")], [vertex(1)])
    assert proxy.round_trips == 0


async def test_a_flushed_script_is_loaded_again(buffer: TrajectoryBuffer, proxy: Proxy, client: Redis) -> None:
    await client.script_flush()
    answers = await buffer.append_and_read([key(), key("other")], [vertex(1), vertex(1)])
    assert [steps(answer) for answer in answers] == [[0, 1], [1]]
    assert proxy.round_trips == 3  # refused, loaded, accepted
    await buffer.append_and_read([key()], [vertex(2)])
    assert proxy.round_trips == 4


async def test_a_connection_that_was_closed_while_idle_is_replaced(buffer: TrajectoryBuffer, proxy: Proxy) -> None:
    proxy.cut()
    (answer,) = await buffer.append_and_read([key()], [vertex(1)])
    assert steps(answer) == [0, 1]


async def test_a_lost_answer_is_asked_for_again_without_appending_twice(buffer: TrajectoryBuffer, proxy: Proxy) -> None:
    proxy.silent = True
    call = asyncio.create_task(buffer.append_and_read([key()], [vertex(1)]))
    while not proxy.round_trips:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)  # the server has appended, its answer is lost
    proxy.silent = False
    proxy.cut()
    (answer,) = await call
    assert steps(answer) == [0, 1]
    assert steps(await buffer.read(key())) == [0, 1]


async def test_a_server_that_is_away_is_unavailable_at_once_and_used_again_once_back(
    buffer: TrajectoryBuffer, proxy: Proxy
) -> None:
    await proxy.stop()
    start_s = time.monotonic()
    with pytest.raises(BufferUnavailable, match="check the server and its URL"):
        await buffer.append_and_read([key()], [vertex(1)])
    with pytest.raises(BufferUnavailable):
        await buffer.read(key())
    assert time.monotonic() - start_s < 1.0
    await proxy.start()
    (answer,) = await buffer.append_and_read([key()], [vertex(1)])
    assert steps(answer) == [0, 1]


async def test_a_silent_server_costs_no_more_than_the_timeout_and_mixes_no_answers(proxy: Proxy) -> None:
    async with connected(proxy.url, timeout_s=0.3, max_connections=1) as connection:
        buffer = TrajectoryBuffer(connection)
        await buffer.append_and_read([key("a"), key("b")], [vertex(1), vertex(2)])
        proxy.silent = True
        start_s = time.monotonic()
        with pytest.raises(BufferUnavailable):
            await buffer.append_and_read([key("a")], [vertex(3)])
        assert time.monotonic() - start_s < 0.6
        proxy.silent = False
        assert steps(await buffer.read(key("b"))) == [2]
        assert steps(await buffer.read(key("a"))) == [1, 3]


async def test_a_cancelled_call_leaves_the_connection_usable(buffer: TrajectoryBuffer, proxy: Proxy) -> None:
    call = asyncio.create_task(buffer.append_and_read([key("a")], [vertex(1)]))
    await asyncio.sleep(0.005)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert steps(await buffer.read(key())) == [0]


async def test_a_server_that_refuses_is_unavailable(buffer: TrajectoryBuffer, client: Redis) -> None:
    await client.lpush(key("list").redis_key(), "not a trajectory")
    with pytest.raises(BufferUnavailable, match="WRONGTYPE"):
        await buffer.append_and_read([key("list")], [vertex(1)])
