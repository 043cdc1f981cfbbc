"""Answers and labels through a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from service.errors import InvalidInput, UnknownFrame
from service.feedback import store as storing
from service.feedback.feedback import MAX_HELD, Feedback
from service.feedback.judging import Label, Verdict
from service.feedback.store import BUCKET_S, AnswerStore
from service.metrics import Metrics
from service.trajectory.connection import RedisConnection
from service.trajectory.embedded import EmbeddedRedis
from tests.service.feedback.answers import TIME_S, activity, answer
from tests.service.trajectory.connections import connected

TRUTH = Label("city", "ue-1", TIME_S, position_enu_m=(13.0, 20.0), line_of_sight=True)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as started:
        yield started


@pytest.fixture
async def connection(server: EmbeddedRedis) -> AsyncIterator[RedisConnection]:
    async with connected(server.url) as connection:
        await connection.client.flushall()
        yield connection


class Counted:
    """A feedback, and what it has counted."""

    def __init__(self, connection: RedisConnection, ttl_s: float = 60.0) -> None:
        self.metrics = Metrics()
        self.feedback = Feedback(AnswerStore(connection, ttl_s), self.metrics.truth)

    def __call__(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"cellsense_{name}", labels) or 0.0


async def test_truth_is_compared_with_the_answer_and_counted(connection: RedisConnection) -> None:
    counted = Counted(connection)
    counted.feedback.keep([answer(), answer("ue-2", position=None, los=None, activity=activity("walk"))])
    await counted.feedback.close()
    other = Label("city", "ue-2", TIME_S, activity="jump", line_of_sight=True)
    assert await counted.feedback.label([TRUTH, other]) == [
        Verdict(pytest.approx(3.0), True, True, None),
        Verdict(None, None, None, False),
    ]
    assert counted("position_error_meters_sum", site="city") == pytest.approx(3.0)
    assert counted("region_labels_total", site="city", covered="true") == 1
    assert counted("los_labels_total", site="city", correct="true") == 1
    assert counted("activity_labels_total", site="city", correct="false") == 1


async def test_each_truth_counts_once_however_often_and_wherever_it_is_posted(connection: RedisConnection) -> None:
    one, other = Counted(connection), Counted(connection)  # as in two processes
    one.feedback.keep([answer()])
    await one.feedback.close()
    position, los = replace(TRUTH, line_of_sight=None), replace(TRUTH, position_enu_m=None)
    first = await one.feedback.label([position])
    assert await other.feedback.label([position]) == first
    assert await other.feedback.label([los, TRUTH]) == [
        Verdict(None, None, True, None),
        Verdict(pytest.approx(3.0), True, True, None),
    ]
    assert [c("position_error_meters_count", site="city") for c in (one, other)] == [1, 0]
    assert [c("los_labels_total", site="city", correct="true") for c in (one, other)] == [0, 1]


@pytest.mark.parametrize(
    "label",
    [
        replace(TRUTH, ue="ue-2"),
        replace(TRUTH, timestamp_s=TIME_S + 0.125),
        replace(TRUTH, timestamp_s=TIME_S + 60),
        replace(TRUTH, site="indoor"),
    ],
)
async def test_frame_that_nothing_is_known_of(connection: RedisConnection, label: Label) -> None:
    counted = Counted(connection)
    counted.feedback.keep([answer()])
    await counted.feedback.close()
    (unknown,) = await counted.feedback.label([label])
    assert isinstance(unknown, UnknownFrame)
    assert unknown.field == "labels[0]"


async def test_label_that_is_an_error_stays_in_its_place(connection: RedisConnection) -> None:
    counted, bad = Counted(connection), InvalidInput("labels[1]", "a truth", "none")
    counted.feedback.keep([answer()])
    await counted.feedback.close()
    first, second, third = await counted.feedback.label([replace(TRUTH, ue="nobody"), bad, TRUTH])
    assert isinstance(first, UnknownFrame)
    assert second is bad
    assert isinstance(third, Verdict)


async def test_the_same_frame_again_does_not_make_its_labels_new(connection: RedisConnection) -> None:
    counted = Counted(connection)
    for _ in range(2):
        counted.feedback.keep([answer()])
        await counted.feedback.close()
        await counted.feedback.label([TRUTH])
    assert counted("position_error_meters_count", site="city") == 1


async def test_answers_expire_and_a_bucket_takes_only_so_many(
    connection: RedisConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "MAX_BUCKET", 3)
    counted = Counted(connection, ttl_s=30.0)
    for ue in range(6):
        counted.feedback.keep([answer(f"ue-{ue}")])
        await counted.feedback.close()
    (key,) = await connection.client.keys("cellsense:answers:*")
    assert await connection.client.hlen(key) == 3
    assert counted("answers_dropped_total") == 3
    assert 0 < await connection.client.pttl(key) <= (30 + BUCKET_S) * 1000
    await counted.feedback.label([replace(TRUTH, ue="ue-0")])
    assert await connection.client.pttl(key) > 0  # a label does not make it last


async def test_a_batch_is_kept_in_a_command_a_site_and_minute(connection: RedisConnection) -> None:
    counted = Counted(connection)
    await connection.client.config_resetstat()
    late = answer(timestamp_s=TIME_S + BUCKET_S)
    counted.feedback.keep([*(answer(f"ue-{i}") for i in range(256)), late, answer(site="indoor")])
    await counted.feedback.close()
    commands = await connection.client.info("commandstats")
    calls = commands["cmdstat_evalsha"]["calls"]
    assert calls - commands["cmdstat_evalsha"].get("failed_calls", 0) == 3
    assert len(await connection.client.keys("*")) == 3


async def test_names_of_any_kind_are_kept_apart(connection: RedisConnection) -> None:
    counted = Counted(connection)
    names = ["a", "é", "\ud800", "a:b", ""]
    counted.feedback.keep([answer(name, site=f"{name}:x") for name in names])
    await counted.feedback.close()
    labels = [Label(f"{name}:x", name, TIME_S, line_of_sight=True) for name in names]
    assert all(isinstance(verdict, Verdict) for verdict in await counted.feedback.label(labels))


async def test_without_redis_answers_are_dropped_and_counted() -> None:
    with EmbeddedRedis() as server:
        async with connected(server.url) as connection:
            counted = Counted(connection)
            server.stop()
            counted.feedback.keep([answer(), answer("ue-2")])
            await counted.feedback.close()
            assert counted("answers_dropped_total") == 2


async def test_what_waits_for_a_slow_redis_is_bounded(connection: RedisConnection, server: EmbeddedRedis) -> None:
    counted, batch = Counted(connection), [answer(f"ue-{ue}") for ue in range(1024)]
    async with Redis.from_url(server.url) as client:
        await client.client_pause(200)
        for _ in range(MAX_HELD // 1024 + 5):
            counted.feedback.keep(batch)
        assert counted("answers_dropped_total") == 5 * 1024
        await counted.feedback.close()
    assert counted("answers_dropped_total") == 5 * 1024
    counted.feedback.keep(batch)
    await counted.feedback.close()
    assert counted("answers_dropped_total") == 5 * 1024


async def test_a_label_may_follow_its_answer_at_once_in_one_process(connection: RedisConnection) -> None:
    counted = Counted(connection)
    counted.feedback.keep([answer()])
    assert isinstance((await counted.feedback.label([TRUTH]))[0], Verdict)


async def test_answers_of_many_requests_share_a_round_trip(connection: RedisConnection) -> None:
    counted = Counted(connection)
    await connection.client.config_resetstat()
    for ue in range(20):
        counted.feedback.keep([answer(f"ue-{ue}")])
    await asyncio.sleep(0.1)  # nobody asks for it
    (key,) = await connection.client.keys("*")
    assert await connection.client.hlen(key) == 20
    commands = await connection.client.info("commandstats")
    assert commands["cmdstat_evalsha"]["calls"] - commands["cmdstat_evalsha"].get("failed_calls", 0) == 1


async def test_without_a_store_no_frame_is_known() -> None:
    feedback = Feedback(None, Metrics().truth)
    feedback.keep([answer()])
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    (unknown,) = await feedback.label([TRUTH])
    assert isinstance(unknown, UnknownFrame)
