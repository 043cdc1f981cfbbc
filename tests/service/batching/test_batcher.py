from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextvars import ContextVar

import pytest

from service.errors import DeadlineExceeded, EngineFailure, Overloaded, ShuttingDown
from tests.service.batching.asked import AskedBatcher
from tests.service.batching.gated_run import Clock, GatedRun, Make, settle


async def test_an_idle_batcher_runs_a_lone_job_at_once(make: Make) -> None:
    run = GatedRun()
    run.let_go()
    assert await make(run).submit(3) == 9
    assert run.batches == [[3]]


async def test_jobs_of_the_same_turn_of_the_loop_share_a_batch(make: Make) -> None:
    run = GatedRun()
    run.let_go()
    batcher = make(run)
    assert await asyncio.gather(*(batcher.submit(job) for job in (1, 2, 3))) == [1, 4, 9]
    assert run.batches == [[1, 2, 3]]


async def test_batches_grow_while_the_worker_is_busy_and_keep_their_limit(make: Make) -> None:
    run = GatedRun()
    batcher = make(run)
    first = asyncio.create_task(batcher.submit(0))
    await run.started(1)
    rest = [asyncio.create_task(batcher.submit(job)) for job in range(1, 7)]
    await settle()
    assert batcher.queued_rows == 6
    run.let_go(3)
    assert await asyncio.gather(first, *rest) == [0, 1, 4, 9, 16, 25, 36]
    assert run.batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert batcher.queued_rows == 0


async def test_several_workers_run_batches_at_the_same_time(make: Make) -> None:
    run = GatedRun()
    batcher = make(run, workers=2)
    first = asyncio.create_task(batcher.submit(1))
    await run.started(1)
    second = asyncio.create_task(batcher.submit(2))
    await run.started(2)  # while the first one is still held
    run.let_go(2)
    assert list(await asyncio.gather(first, second)) == [1, 4]


async def test_a_job_larger_than_a_batch_runs_alone(make: Make) -> None:
    run = GatedRun()
    batcher = make(run, rows=lambda job: job)
    first = asyncio.create_task(batcher.submit(1))
    await run.started(1)
    rest = [asyncio.create_task(batcher.submit(job)) for job in (2, 9, 2)]
    run.let_go(4)
    assert await asyncio.gather(first, *rest) == [1, 4, 81, 4]
    assert run.batches == [[1], [2], [9], [2]]


async def test_small_jobs_do_not_overtake_a_large_one(make: Make) -> None:
    run = GatedRun()
    batcher = make(run, rows=lambda job: job)
    first = asyncio.create_task(batcher.submit(1))
    await run.started(1)
    rest = [asyncio.create_task(batcher.submit(job)) for job in (2, 3, 1)]
    run.let_go(3)
    await asyncio.gather(first, *rest)
    assert run.batches == [[1], [2], [3, 1]]


async def test_a_full_queue_sheds_at_once_and_says_when_to_retry(make: Make) -> None:
    run, clock = GatedRun(), Clock()
    batcher = make(run, max_queue_rows=2, clock=clock)
    timed = asyncio.create_task(batcher.submit(0))
    await run.started(1)
    clock.now_s += 3.0  # a row takes three seconds
    run.let_go()
    await timed
    running = asyncio.create_task(batcher.submit(1))
    await run.started(2)
    waiting = [asyncio.create_task(batcher.submit(job)) for job in (2, 3)]
    await settle()
    with pytest.raises(Overloaded, match=r"2 rows wait and 1 more would pass the limit of 2.*6 s") as caught:
        await batcher.submit(4)
    assert caught.value.retry_after_s == pytest.approx(6.0)
    run.let_go(2)
    assert await asyncio.gather(running, *waiting) == [1, 4, 9]
    run.let_go()
    assert await batcher.submit(4) == 16


async def test_a_job_larger_than_the_queue_is_taken_while_the_queue_is_empty(make: Make) -> None:
    run = GatedRun()
    run.let_go()
    assert await make(run, rows=lambda job: job, max_queue_rows=2).submit(5) == 25


async def test_a_cancelled_caller_leaves_batch_mates_alone_and_its_rows_free(make: Make) -> None:
    run = GatedRun()
    batcher = make(run)
    first = asyncio.create_task(batcher.submit(0))
    await run.started(1)
    mates = [asyncio.create_task(batcher.submit(job)) for job in (1, 2, 3)]
    await settle()
    mates[1].cancel()
    await settle()
    assert batcher.queued_rows == 2
    run.let_go(2)
    assert list(await asyncio.gather(first, mates[0], mates[2])) == [0, 1, 9]
    assert run.batches == [[0], [1, 3]]
    assert mates[1].cancelled()


async def test_cancelling_during_the_run_leaves_batch_mates_alone(make: Make) -> None:
    run = GatedRun()
    batcher = make(run)
    mates = [asyncio.create_task(batcher.submit(job)) for job in (1, 2)]
    await run.started(1)
    mates[0].cancel()
    run.let_go()
    assert await mates[1] == 4
    assert mates[0].cancelled()


async def test_an_exception_reaches_every_batch_mate_and_the_next_batch_runs(make: Make) -> None:
    def answer(jobs: list[int]) -> list[int]:
        if 0 in jobs:
            raise ZeroDivisionError("by job 0")
        return jobs

    run = GatedRun(answer)
    run.let_go(2)
    batcher = make(run)
    failures = await asyncio.gather(*(batcher.submit(job) for job in (0, 1, 2)), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["ZeroDivisionError: by job 0"] * 3
    assert all(isinstance(f, EngineFailure) and isinstance(f.__cause__, ZeroDivisionError) for f in failures)
    assert len({id(failure) for failure in failures}) == 3
    assert await batcher.submit(7) == 7


async def test_a_wrong_number_of_results_fails_the_whole_batch(make: Make) -> None:
    run = GatedRun(lambda jobs: jobs[:-1])
    run.let_go()
    batcher = make(run)
    failures = await asyncio.gather(*(batcher.submit(job) for job in (1, 2)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [EngineFailure] * 2
    assert "expected 2 results from a batch of as many jobs, got 1" in str(failures[0])


async def test_a_job_whose_deadline_passed_in_the_queue_is_never_run(make: Make) -> None:
    run, clock = GatedRun(), Clock()
    batcher = make(run, clock=clock)
    first = asyncio.create_task(batcher.submit(0))
    await run.started(1)
    late = asyncio.create_task(batcher.submit(1, deadline_s=clock.now_s + 60))
    patient = asyncio.create_task(batcher.submit(2))
    await settle()
    clock.now_s += 61
    run.let_go(2)
    with pytest.raises(DeadlineExceeded, match=r"61\.000 s"):
        await late
    assert list(await asyncio.gather(first, patient)) == [0, 4]
    assert run.batches == [[0], [2]]


async def test_the_caller_is_answered_at_the_deadline_even_if_the_engine_hangs(make: Make) -> None:
    run = GatedRun()
    batcher = make(run)
    running = asyncio.create_task(batcher.submit(1, deadline_s=time.monotonic() + 0.02))
    await run.started(1)
    waiting = asyncio.create_task(batcher.submit(2, deadline_s=time.monotonic() + 0.02))
    for task in (running, waiting):
        with pytest.raises(DeadlineExceeded):
            await task
    assert batcher.queued_rows == 0


async def test_a_deadline_that_has_passed_is_refused_before_the_queue(make: Make) -> None:
    run, clock = GatedRun(), Clock()
    with pytest.raises(DeadlineExceeded):
        await make(run, clock=clock).submit(1, deadline_s=clock.now_s)
    assert run.batches == []


async def test_close_fails_waiting_jobs_and_lets_the_running_batch_finish(make: Make) -> None:
    run = GatedRun()
    batcher = make(run)
    running = asyncio.create_task(batcher.submit(1))
    await run.started(1)
    waiting = asyncio.create_task(batcher.submit(2))
    await settle()
    closing = asyncio.create_task(batcher.close())
    with pytest.raises(ShuttingDown):
        await waiting
    run.let_go()
    await closing
    assert await running == 1
    assert run.batches == [[1]]
    with pytest.raises(ShuttingDown):
        await batcher.submit(3)


async def test_close_does_not_hang_on_a_stuck_batch(make: Make) -> None:
    run = GatedRun()
    batcher = make(run)
    stuck = asyncio.create_task(batcher.submit(1))
    await run.started(1)
    await batcher.close(grace_s=0.01)
    with pytest.raises(ShuttingDown):
        await stuck


async def test_closing_twice_or_before_the_first_job_is_harmless(make: Make) -> None:
    batcher = make(GatedRun())
    await batcher.close()
    await batcher.close()


def test_a_run_that_outlives_its_loop_ends_its_thread_quietly() -> None:
    run = GatedRun()
    before = set(threading.enumerate())

    async def leave() -> None:
        batcher: AskedBatcher[int, int] = AskedBatcher(run, lambda job: 1, max_rows=4, max_queue_rows=4)
        caller = asyncio.create_task(batcher.submit(1))
        await run.started(1)
        caller.cancel()

    asyncio.run(leave())
    (worker,) = set(threading.enumerate()) - before
    assert worker.daemon  # it could not hold up the end of the process either
    run.let_go()
    worker.join(5)
    assert not worker.is_alive()


async def test_every_batch_is_observed_with_queue_time_apart_from_run_time(make: Make) -> None:
    seen: list[tuple[int, float, float]] = []
    run, clock = GatedRun(), Clock()
    batcher = make(run, clock=clock, observe=lambda *values: seen.append(values))
    first = asyncio.create_task(batcher.submit(1))
    await run.started(1)
    rest = [asyncio.create_task(batcher.submit(job)) for job in (2, 3)]
    await settle()
    clock.now_s += 2.0
    run.let_go()
    await first
    await run.started(2)
    clock.now_s += 0.5
    run.let_go()
    await asyncio.gather(*rest)
    assert seen == [(1, 0.0, 2.0), (2, 2.0, 0.5)]


async def test_every_job_is_observed_in_the_context_of_its_caller(make: Make) -> None:
    caller: ContextVar[str] = ContextVar("caller")
    seen: dict[str, tuple[float, float, float]] = {}
    run, clock = GatedRun(), Clock()
    batcher = make(run, clock=clock)

    async def submit(job: int) -> None:
        caller.set(f"caller {job}")
        await batcher.submit(job, observe=lambda *times: seen.update({caller.get(): times}))

    first = asyncio.create_task(submit(1))
    await run.started(1)
    clock.now_s += 1.0
    rest = [asyncio.create_task(submit(job)) for job in (2, 3)]
    await settle()
    clock.now_s += 2.0
    run.let_go()
    await run.started(2)
    clock.now_s += 0.5
    run.let_go()
    await asyncio.gather(first, *rest)
    assert seen == {
        "caller 1": (100.0, 100.0, 103.0),
        "caller 2": (101.0, 103.0, 103.5),
        "caller 3": (101.0, 103.0, 103.5),
    }


async def test_what_joins_and_leaves_the_queue_is_observed_however_it_leaves(make: Make) -> None:
    changes: list[int] = []
    run, clock = GatedRun(), Clock()
    batcher = make(run, clock=clock, rows=lambda job: job, max_queue_rows=9, observe_queue=changes.append)
    running = asyncio.create_task(batcher.submit(4))
    await run.started(1)
    assert changes == [4, -4]
    late = asyncio.create_task(batcher.submit(2, clock.now_s + 0.01))
    gone = asyncio.create_task(batcher.submit(3))
    await settle()
    with pytest.raises(Overloaded):
        await batcher.submit(5)
    gone.cancel()
    with pytest.raises(DeadlineExceeded):
        await late
    run.let_go()
    await running
    assert sum(changes) == batcher.queued_rows == 0
    assert sorted(changes) == [-4, -3, -2, 4, 2 + 3]  # what joins in one turn of the loop at once


async def test_a_failing_observer_is_reported_and_harms_no_job(make: Make) -> None:
    def observe(rows: int, queue_s: float, run_s: float) -> None:
        raise RuntimeError("no metrics today")

    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    run = GatedRun()
    run.let_go(2)
    batcher = make(run, observe=observe)
    assert await batcher.submit(1) == 1
    assert await batcher.submit(2) == 4
    await batcher.close()
    gc.collect()
    assert [str(failure["exception"]) for failure in failures] == ["no metrics today"] * 2


async def test_a_job_without_rows_is_a_programming_error(make: Make) -> None:
    with pytest.raises(ValueError, match="expected one or more jobs of at least 1 row each, got"):
        await make(GatedRun(), rows=lambda job: 0).submit(1)


async def test_a_failing_observer_of_the_queue_is_reported_and_harms_no_job(make: Make) -> None:
    def observe_queue(change: int) -> None:
        raise RuntimeError("no metrics today")

    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    run = GatedRun()
    run.let_go(2)
    batcher = make(run, observe_queue=observe_queue)
    assert [await batcher.submit(1), await batcher.submit(2)] == [1, 4]
    await settle()
    assert {str(failure["exception"]) for failure in failures} == {"no metrics today"}


async def test_a_worker_takes_the_next_batch_while_the_loop_is_busy(make: Make) -> None:
    run = GatedRun()
    batcher = make(run)
    callers = [asyncio.create_task(batcher.submit(1))]
    await run.started(1)
    callers.append(asyncio.create_task(batcher.submit(2)))
    await settle()
    run.let_go(2)
    end_s = time.monotonic() + 5
    while len(run.batches) < 2 and time.monotonic() < end_s:  # the loop does not turn meanwhile
        time.sleep(0.001)
    assert run.batches == [[1], [2]]
    assert await asyncio.gather(*callers) == [1, 4]


async def test_one_timer_serves_all_deadlines(make: Make) -> None:
    run = GatedRun()
    batcher = make(run)
    now_s = time.monotonic()
    callers = [asyncio.create_task(batcher.submit(job, now_s + job / 50)) for job in (3, 1, 2)]
    late = []
    for _ in callers:
        done, _pending = await asyncio.wait([c for c in callers if c not in late], return_when="FIRST_COMPLETED")
        late += done
    assert [callers.index(caller) for caller in late] == [1, 2, 0]
    assert all(isinstance(caller.exception(), DeadlineExceeded) for caller in late)
