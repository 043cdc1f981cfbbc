from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from service.errors import TimestampConflict
from service.trajectory.buffer import TrajectoryBuffer
from service.trajectory.connection import RedisConnection
from service.trajectory.embedded import EmbeddedRedis
from tests.service.trajectory.connections import connected
from tests.service.trajectory.frames import EPOCH_S, key, steps, vertex

Open = Callable[..., Awaitable[TrajectoryBuffer]]


@pytest.fixture
async def open_buffer(server: EmbeddedRedis, client: Redis) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_one(max_connections: int = 16, **options: float) -> TrajectoryBuffer:
            connection = await stack.enter_async_context(connected(server.url, max_connections=max_connections))
            return TrajectoryBuffer(connection, **options)  # type: ignore[arg-type]  # vary by test

        yield open_one


async def append(buffer: TrajectoryBuffer, step: float, content: str = "", ue: str = "ue-1", length: int = 8) -> object:
    (answer,) = await buffer.append_and_read([key(ue)], [vertex(step, content)], length)
    return answer


async def test_a_trajectory_grows_oldest_first_up_to_its_length(open_buffer: Open) -> None:
    buffer = await open_buffer()
    grown = [steps(await append(buffer, step, length=3)) for step in range(5)]
    assert grown == [[0], [0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert steps(await buffer.read(key())) == [2, 3, 4]


async def test_sending_a_frame_again_changes_nothing_and_answers_the_same(open_buffer: Open) -> None:
    buffer = await open_buffer()
    first = await append(buffer, 1)
    again = await append(buffer, 1)
    assert steps(first) == steps(again) == steps(await buffer.read(key())) == [1]


async def test_sending_an_older_frame_again_answers_the_trajectory_up_to_it(open_buffer: Open) -> None:
    buffer = await open_buffer()
    for step in (1, 2, 3):
        await append(buffer, step)
    assert steps(await append(buffer, 2)) == [1, 2]
    assert steps(await buffer.read(key())) == [1, 2, 3]


async def test_another_frame_with_the_same_timestamp_is_a_conflict(open_buffer: Open) -> None:
    buffer = await open_buffer()
    await append(buffer, 1)
    conflict = await append(buffer, 1, "other content")
    assert isinstance(conflict, TimestampConflict)
    assert str(conflict) == (
        "timestamp_s: expected a timestamp not used before by UE 'ue-1' at site 'munich', or exactly the same frame "
        "again, got 1790000001.0 duplicated with other content"
    )
    assert steps(await buffer.read(key())) == [1]


async def test_a_frame_out_of_order_is_a_conflict_that_names_the_newest(open_buffer: Open) -> None:
    buffer = await open_buffer()
    await append(buffer, 5)
    conflict = await append(buffer, 4.75)
    assert isinstance(conflict, TimestampConflict)
    assert conflict.expected == "a timestamp after 1790000005.0, the newest of UE 'ue-1' at site 'munich'"
    assert conflict.got == "1790000004.75, out of order"
    assert steps(await buffer.read(key())) == [5]


async def test_a_late_frame_within_tolerance_is_inserted_where_it_belongs(open_buffer: Open) -> None:
    buffer = await open_buffer(late_tolerance_s=2.0)
    for step in (1, 2, 4):
        await append(buffer, step)
    assert steps(await append(buffer, 3)) == [1, 2, 3]
    assert steps(await append(buffer, 5)) == [1, 2, 3, 4, 5]
    conflict = await append(buffer, 2.5)
    assert isinstance(conflict, TimestampConflict)
    assert "or up to 2 s before it" in conflict.expected


async def test_a_late_frame_older_than_a_full_trajectory_is_answered_from_itself(open_buffer: Open) -> None:
    buffer = await open_buffer(late_tolerance_s=10.0)
    for step in (3, 4):
        await append(buffer, step, length=2)
    assert steps(await append(buffer, 2, length=2)) == [2]
    assert steps(await buffer.read(key())) == [3, 4]


async def test_a_shorter_length_than_before_is_kept_to(open_buffer: Open) -> None:
    buffer = await open_buffer()
    for step in range(5):
        await append(buffer, step, length=8)
    assert steps(await append(buffer, 4, length=2)) == [3, 4]
    assert steps(await append(buffer, 5, length=2)) == [4, 5]
    assert steps(await buffer.read(key())) == [4, 5]


async def test_each_trajectory_has_the_length_of_its_own_model(open_buffer: Open) -> None:
    buffer = await open_buffer()
    for step in range(20):
        await append(buffer, step, ue="short", length=8)
        await append(buffer, step, ue="long", length=16)
    assert steps(await buffer.read(key("short"))) == list(range(12, 20))
    assert steps(await buffer.read(key("long"))) == list(range(4, 20))


async def test_a_batch_appends_in_its_order_and_conflicts_fail_alone(open_buffer: Open) -> None:
    buffer = await open_buffer()
    keys = [key("a"), key("b"), key("a"), key("a"), key("b")]
    answers = await buffer.append_and_read(keys, [vertex(1), vertex(1), vertex(2), vertex(0), vertex(2)])
    assert steps(answers[0]) == [1]
    assert steps(answers[1]) == [1]
    assert steps(answers[2]) == [1, 2]
    assert isinstance(answers[3], TimestampConflict)
    assert steps(answers[4]) == [1, 2]


async def test_an_empty_batch_needs_no_server() -> None:
    assert await TrajectoryBuffer(RedisConnection("redis://localhost:1")).append_and_read([], []) == []


async def test_sites_ues_and_models_are_kept_apart(open_buffer: Open) -> None:
    buffer = await open_buffer()
    keys = [
        key("c", site="a/b"), key("b/c", site="a"), key("c}", site="a/b"), key("c", site="a/b", fingerprint="beef"),
        key("ü\n 🛰 %2F", site="a"), key("\ud800", site="a"), key("x" * 128, site="a"),
    ]  # fmt: skip
    for step in (1, 2):
        answers = await buffer.append_and_read(keys, [vertex(step)] * len(keys))
    assert [steps(answer) for answer in answers] == [[1, 2]] * len(keys)


async def test_an_unknown_ue_has_an_empty_trajectory(open_buffer: Open) -> None:
    trajectory = await (await open_buffer()).read(key("nobody"))
    assert len(trajectory) == 0
    assert trajectory.embeddings.shape == (0, 128)


async def test_timestamps_keep_their_full_precision(open_buffer: Open) -> None:
    buffer = await open_buffer()
    step = 0.123456716537  # not a round number of microseconds
    await append(buffer, step)
    assert (await buffer.read(key())).timestamps_s[0] == EPOCH_S + step


async def test_every_append_and_every_retry_renews_the_time_to_live(open_buffer: Open, client: Redis) -> None:
    buffer = await open_buffer(ttl_s=60.0)
    for step in (1, 2, 2):
        await append(buffer, step)
        assert 59_000 < await client.pttl(key().redis_key()) <= 60_000
        await client.pexpire(key().redis_key(), 1000)


async def test_a_conflict_does_not_renew_the_time_to_live(open_buffer: Open, client: Redis) -> None:
    buffer = await open_buffer()
    await append(buffer, 2)
    await client.pexpire(key().redis_key(), 1000)
    await append(buffer, 1)
    await append(buffer, 2, "other content")
    assert await client.pttl(key().redis_key()) <= 1000


async def test_a_trajectory_is_forgotten_after_its_time_to_live(open_buffer: Open) -> None:
    buffer = await open_buffer(ttl_s=0.02)
    await append(buffer, 2)
    await asyncio.sleep(0.05)
    assert steps(await append(buffer, 1)) == [1]


async def test_two_clients_at_once_lose_nothing(open_buffer: Open) -> None:
    one, other = await open_buffer(late_tolerance_s=1e6), await open_buffer(late_tolerance_s=1e6)
    mine = [vertex(step) for step in range(0, 40, 2)]
    theirs = [vertex(step) for step in range(1, 40, 2)]
    await asyncio.gather(
        *(one.append_and_read([key()], [v], 64) for v in mine),
        *(other.append_and_read([key()], [v], 64) for v in theirs),
        *(other.append_and_read([key()], [v], 64) for v in mine),  # and half of it twice
    )
    assert steps(await one.read(key())) == [float(step) for step in range(40)]


async def test_more_calls_than_connections_wait_for_their_turn(open_buffer: Open, client: Redis) -> None:
    buffer = await open_buffer(max_connections=2)
    answers = await asyncio.gather(*(append(buffer, 1, ue=f"ue-{i}") for i in range(50)))
    assert [steps(answer) for answer in answers] == [[1]] * 50
    assert len(await client.client_list()) <= 3


async def test_a_vertex_costs_a_few_hundred_bytes(open_buffer: Open, client: Redis) -> None:
    buffer = await open_buffer()
    for step in range(8):
        await append(buffer, step)
    assert await client.strlen(key().redis_key()) == 8 * 280
