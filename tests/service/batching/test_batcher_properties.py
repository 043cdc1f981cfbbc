from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from service.batching.batcher import Batcher
from service.errors import EngineFailure, Overloaded

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

    batcher: Batcher[Job, str] = Batcher(
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

    batcher: Batcher[Job, int] = Batcher(
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
    batcher: Batcher[tuple[int, int], tuple[int, int]] = Batcher(
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
