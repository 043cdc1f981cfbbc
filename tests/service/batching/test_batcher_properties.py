from __future__ import annotations

import asyncio
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import CellsenseError, DeadlineExceeded, EngineFailure, Overloaded, ShuttingDown
from tests.service.batching.asked import AskedBatcher

MAX_ROWS, MAX_QUEUE_ROWS = 8, 24
Job = tuple[int, int, str]  # number, rows, what becomes of it

jobs_strategy = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from(["calm", "calm", "calm", "cancel", "fail"]), st.booleans()),
    min_size=1,
    max_size=30,
)


@given(jobs_strategy, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_each_caller_gets_its_own_answer(plan: list[tuple[int, str, bool]], workers: int) -> None:
    asyncio.run(asyncio.wait_for(_scenario(plan, workers), 10))


async def _scenario(plan: list[tuple[int, str, bool]], workers: int) -> None:
    batches: list[list[Job]] = []

    def run(jobs: list[Job]) -> list[str]:
        batches.append(jobs)
        if any(fate == "fail" for _, _, fate in jobs):
            raise RuntimeError("one of the batch")
        return [f"answer {number}" for number, _, _ in jobs]

    batcher: AskedBatcher[Job, str] = AskedBatcher(
        run, lambda job: job[1], max_rows=MAX_ROWS, max_queue_rows=MAX_QUEUE_ROWS, workers=workers
    )
    callers = []
    for number, (rows, fate, pause) in enumerate(plan):
        callers.append(asyncio.create_task(batcher.submit((number, rows, fate))))
        if pause:
            await asyncio.sleep(0)
        if fate == "cancel":
            callers[-1].cancel()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    await batcher.close()

    failed = {job[0] for batch in batches if any(job[2] == "fail" for job in batch) for job in batch}
    ran = [job[0] for batch in batches for job in batch]
    assert len(ran) == len(set(ran))
    for number, ((_, fate, _), answer) in enumerate(zip(plan, answers, strict=True)):
        if isinstance(answer, Overloaded):
            assert number not in ran
        elif fate == "cancel":
            assert isinstance(answer, asyncio.CancelledError | str)
        elif number in failed:
            assert isinstance(answer, EngineFailure)
        else:
            assert answer == f"answer {number}"
    for batch in batches:
        assert len(batch) == 1 or sum(job[1] for job in batch) <= MAX_ROWS
    if workers == 1:
        assert ran == sorted(ran)
    assert batcher.queued_rows == 0


@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from([None, 30.0, 60.0])), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_what_waits_leaves_by_deadline_and_then_in_the_order_it_came(plan: list[tuple[int, float | None]]) -> None:
    asyncio.run(asyncio.wait_for(_by_deadline(plan), 10))


async def _by_deadline(plan: list[tuple[int, float | None]]) -> None:
    ran: list[int] = []

    def run(jobs: list[Job]) -> list[int]:
        ran.extend(number for number, _, _ in jobs)
        return [number for number, _, _ in jobs]

    batcher: AskedBatcher[Job, int] = AskedBatcher(
        run, lambda job: job[1], max_rows=MAX_ROWS, max_queue_rows=1000, workers=1, clock=lambda: 0.0
    )
    jobs = [batcher.submit((number, rows, ""), deadline_s) for number, (rows, deadline_s) in enumerate(plan)]
    assert await asyncio.gather(*jobs) == list(range(len(plan)))
    await batcher.close()
    assert ran == sorted(ran, key=lambda number: (plan[number][1] or float("inf"), number))


@given(
    st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=5), min_size=1, max_size=8),
    st.sets(st.integers(0, 7)),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_callers_with_several_jobs_get_all_their_answers_or_none(
    plan: list[list[int]], cancelled: set[int], workers: int
) -> None:
    asyncio.run(asyncio.wait_for(_several(plan, cancelled, workers), 10))


async def _several(plan: list[list[int]], cancelled: set[int], workers: int) -> None:
    batcher: AskedBatcher[tuple[int, int], tuple[int, int]] = AskedBatcher(
        lambda jobs: jobs, lambda job: job[1], max_rows=MAX_ROWS, max_queue_rows=MAX_QUEUE_ROWS, workers=workers
    )
    jobs = [[(caller, rows) for rows in sizes] for caller, sizes in enumerate(plan)]
    callers = [asyncio.create_task(batcher.submit_all(each)) for each in jobs]
    await asyncio.sleep(0)
    for caller in cancelled & set(range(len(plan))):
        callers[caller].cancel()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    await batcher.close()
    for caller, answer in enumerate(answers):
        if isinstance(answer, asyncio.CancelledError):
            assert caller in cancelled
        else:
            assert isinstance(answer, Overloaded) or answer == jobs[caller]
    assert batcher.queued_rows == 0


@given(
    st.lists(
        st.tuples(
            st.integers(1, 12),  # rows
            st.sampled_from([None, None, 0.001, 0.004, 5.0]),  # seconds to the deadline
            st.sampled_from(["wait", "wait", "wait", "abandon", "fail"]),
            st.integers(0, 2),  # turns of the loop until the next arrives
        ),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 3),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_each_entry_is_answered_once_or_abandoned(
    plan: list[tuple[int, float | None, str, int]], workers: int, close_early: bool
) -> None:
    asyncio.run(asyncio.wait_for(_callbacks(plan, workers, close_early), 10))


async def _callbacks(plan: list[tuple[int, float | None, str, int]], workers: int, close_early: bool) -> None:
    def run(jobs: list[Job]) -> list[str | EngineFailure]:
        time.sleep(0.0005)
        return [EngineFailure("its numbers") if fate == "fail" else f"answer {n}" for n, _, fate in jobs]

    batcher: AskedBatcher[Job, str] = AskedBatcher(
        run, lambda job: job[1], max_rows=MAX_ROWS, max_queue_rows=MAX_QUEUE_ROWS, workers=workers
    )
    answers: dict[int, list[str | CellsenseError]] = {}
    abandoned: set[int] = set()
    for number, (rows, patience_s, fate, turns) in enumerate(plan):
        job = (number, rows, fate)
        deadline_s = None if patience_s is None else time.monotonic() + patience_s
        try:
            entries = batcher.enqueue(
                [job], deadline_s, lambda entry: answers[entry.job[0]].append(entry.error or entry.answer)
            )
        except Overloaded:
            continue
        answers[number] = []
        if fate == "abandon":
            batcher.abandon(entries)
            abandoned.add(number)
        for _ in range(turns):
            await asyncio.sleep(0)
    if not close_early:
        while not batcher.idle:
            await asyncio.sleep(0.001)
    await batcher.close()
    await asyncio.sleep(0.002)
    for number, got in answers.items():
        if number in abandoned:
            assert got == []
            continue
        (answer,) = got
        if isinstance(answer, CellsenseError):
            fails = plan[number][2] == "fail" and isinstance(answer, EngineFailure)
            late = plan[number][1] is not None and isinstance(answer, DeadlineExceeded)
            assert fails or late or (close_early and isinstance(answer, ShuttingDown))
        else:
            assert answer == f"answer {number}"
    assert batcher.queued_rows == 0
