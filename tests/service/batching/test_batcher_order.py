"""Who leaves first, and jobs that belong together."""

from __future__ import annotations

import asyncio

import pytest

from service.errors import EngineFailure, Overloaded
from tests.service.batching.gated_run import Clock, GatedRun, Make, settle


async def test_the_nearest_deadline_leaves_first(make: Make) -> None:
    run, clock = GatedRun(), Clock()
    batcher = make(run, clock=clock, max_rows=2)
    first = asyncio.create_task(batcher.submit(1))
    await run.started(1)
    waits = [(2, None), (3, 50.0), (4, 20.0), (5, 50.0), (6, None)]
    rest = [asyncio.create_task(batcher.submit(job, after and clock.now_s + after)) for job, after in waits]
    await settle()
    run.let_go(4)
    await asyncio.gather(first, *rest)
    assert run.batches == [[1], [4, 3], [5, 2], [6]]


async def test_jobs_of_one_caller_are_answered_together_and_run_with_others(make: Make) -> None:
    run = GatedRun()
    batcher = make(run, max_rows=2)
    both = asyncio.gather(batcher.submit_all([1, 2, 3]), batcher.submit(4))
    await run.started(1)
    run.let_go(2)
    assert await both == [[1, 4, 9], 16]
    assert run.batches == [[1, 2], [3, 4]]


async def test_jobs_of_one_caller_fail_as_a_whole_and_the_rest_of_them_is_not_run(make: Make) -> None:
    run = GatedRun(lambda jobs: [1 // 0])
    batcher = make(run, max_rows=1)
    caller = asyncio.create_task(batcher.submit_all([1, 2, 3]))
    await run.started(1)
    run.let_go()
    with pytest.raises(EngineFailure, match="ZeroDivisionError"):
        await caller
    run.let_go()  # of the second, which the worker took at once
    await settle()
    assert batcher.queued_rows == 0
    assert [3] not in run.batches


async def test_jobs_of_one_caller_enter_the_queue_all_or_none(make: Make) -> None:
    run = GatedRun()
    batcher = make(run, max_rows=1, max_queue_rows=3)
    first = asyncio.create_task(batcher.submit(1))
    await run.started(1)
    waits = asyncio.create_task(batcher.submit(2))
    await settle()
    with pytest.raises(Overloaded):
        await batcher.submit_all([3, 4, 5])
    assert batcher.queued_rows == 1
    run.let_go(2)
    assert await asyncio.gather(first, waits) == [1, 4]


async def test_a_batcher_that_is_configured_anew_runs_so_from_the_next_batch_on(make: Make) -> None:
    run = GatedRun()
    batcher = make(run, max_rows=4)
    batcher.configure(max_rows=1, workers=2)
    callers = [asyncio.create_task(batcher.submit(job)) for job in (1, 2, 3)]
    await run.started(2)
    assert sorted(run.batches) == [[1], [2]]
    run.let_go(3)
    assert await asyncio.gather(*callers) == [1, 4, 9]


async def test_what_waits_is_shared_out_among_the_workers_that_are_free(make: Make) -> None:
    for side_by_side, batches in ((True, [[1, 2], [3, 4]]), (False, [[1, 2, 3, 4]])):
        run = GatedRun()
        batcher = make(run, max_rows=4)
        batcher.configure(max_rows=4, workers=2, side_by_side=side_by_side)
        callers = [asyncio.create_task(batcher.submit(job)) for job in (1, 2, 3, 4)]
        await run.started(len(batches))
        assert sorted(run.batches) == batches
        run.let_go(4)
        assert await asyncio.gather(*callers) == [1, 4, 9, 16]
