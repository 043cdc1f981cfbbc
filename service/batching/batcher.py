"""A dynamic batcher that stays correct on the unhappy path.

A batch leaves as soon as a worker is free: nobody waits for a batch to fill. While all workers are busy the queue
grows, and the next batch takes as much of it as fits, so batches grow with the load and shrink with it. The job with
the nearest deadline leaves first; among equals, the one that came first. There is no worker task that could die:
arrivals and completions do the dispatching.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from service.errors import DeadlineExceeded, EngineFailure, Overloaded, ShuttingDown

Job = TypeVar("Job")
Result = TypeVar("Result")

FIRST_RETRY_S = 1.0  # advice to shed callers before any batch has been timed
MAX_THREADS = 256  # of a batcher; they start as they are needed, and `workers` bounds how many are
SMOOTHING = 0.2  # weight of the newest batch in the running mean of the time per row


@dataclass(eq=False)
class _Entry(Generic[Job, Result]):
    job: Job
    rows: int
    queued_at_s: float
    deadline_s: float | None
    answer: asyncio.Future[Result]  # cancelled once nobody waits for it any more
    started_at_s: float = math.nan
    ended_at_s: float = math.nan


class Batcher(Generic[Job, Result]):
    """Groups jobs of concurrent callers into batches and runs them in threads.

    Belongs to one event loop. A job larger than `max_rows` runs alone.
    """

    def __init__(
        self,
        run: Callable[[list[Job]], Sequence[Result | EngineFailure]],
        rows: Callable[[Job], int],
        *,
        max_rows: int,
        max_queue_rows: int,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[int, float, float], None] | None = None,
        observe_queue: Callable[[int], None] | None = None,
    ) -> None:
        """Make a batcher; its threads start with the first job.

        Args:
            run: answers a batch, one result a job in the same order, or the failure of that job. Called in a thread,
                by `workers` at once.
            rows: size of a job, at least 1.
            max_rows: most rows in a batch of several jobs.
            max_queue_rows: most rows that wait; more are shed with `Overloaded`.
            workers: batches that run at the same time.
            clock: seconds, monotonic; the time axis of deadlines.
            observe: called after each batch with its rows, the longest time in the queue and the run time in seconds.
            observe_queue: called with the change whenever rows join or leave the queue.
        """
        self._run = run
        self._rows = rows
        self._max_rows = max_rows
        self._max_queue_rows = max_queue_rows
        self._workers = workers
        self._clock = clock
        self._observe = observe
        self._observe_queue = observe_queue
        self._waiting: set[_Entry[Job, Result]] = set()
        self._urgent: list[
            tuple[float, int, _Entry[Job, Result]]
        ] = []  # a heap; those that do not wait are passed over
        self._number = count()
        self._queued_rows = 0
        self._running: dict[asyncio.Task[None], list[_Entry[Job, Result]]] = {}
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="batch")
        self._seconds_per_row: float | None = None
        self._closed = False

    @property
    def queued_rows(self) -> int:
        """Rows that wait for a worker; those being run are not counted."""
        return self._queued_rows

    def configure(self, max_rows: int, workers: int) -> None:
        """Set the most rows of a batch and the batches at the same time, from the next batch on."""
        self._max_rows, self._workers = max_rows, workers

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not self._running

    async def submit(
        self,
        job: Job,
        deadline_s: float | None = None,
        observe: Callable[[float, float, float], None] | None = None,
    ) -> Result:
        """Answer one job, in a batch with others. See `submit_all`."""
        return (await self.submit_all([job], deadline_s, observe))[0]

    async def submit_all(
        self,
        jobs: Sequence[Job],
        deadline_s: float | None = None,
        observe: Callable[[float, float, float], None] | None = None,
    ) -> list[Result]:
        """Answer several jobs of one caller, each in a batch with others, or fail as a whole.

        A caller that is cancelled leaves the queue at once and its batch-mates alone.

        Args:
            jobs: what `run` takes, one or more.
            deadline_s: point in time on the batcher's clock after which the answer is of no use.
            observe: called with the times on the clock at which the jobs were queued, the first of them was started
                and the last was answered, once they all are.

        Raises:
            Overloaded: the queue is full.
            DeadlineExceeded: the deadline passed, in the queue or during the run.
            EngineFailure: `run` raised, from its exception, or returned another number of results.
            ShuttingDown: the batcher is closed, or was while a job waited.
        """
        now_s = self._clock()
        entries = self._admit(jobs, now_s, deadline_s)
        try:
            async with asyncio.timeout(None if deadline_s is None else deadline_s - now_s):
                results = [await entry.answer for entry in entries]
        except TimeoutError:
            raise _too_late(self._clock() - now_s) from None
        finally:
            for entry in entries:
                self._forget(entry)
                if not entry.answer.cancel() and not entry.answer.cancelled():
                    entry.answer.exception()  # has been seen: nobody is to be warned of it
        if observe is not None:
            observe(now_s, min(entry.started_at_s for entry in entries), max(entry.ended_at_s for entry in entries))
        return results

    async def close(self, grace_s: float = 5.0) -> None:
        """Fail every waiting job with `ShuttingDown`, and running ones too if they take longer than `grace_s`."""
        self._closed = True
        self._fail(list(self._waiting), _shutting_down)
        self._urgent.clear()
        if running := dict(self._running):
            _, stuck = await asyncio.wait(running, timeout=grace_s)
            for task in stuck:
                self._fail(running[task], _shutting_down)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _admit(self, jobs: Sequence[Job], now_s: float, deadline_s: float | None) -> list[_Entry[Job, Result]]:
        if self._closed:
            raise _shutting_down()
        if deadline_s is not None and deadline_s <= now_s:
            raise _too_late(0.0)
        sizes = [self._rows(job) for job in jobs]
        if not sizes or min(sizes) < 1:
            raise ValueError(f"rows: expected one or more jobs of at least 1 row each, got {sizes}")
        # Jobs larger than the whole queue could never enter a queue that is not empty, so they may enter an empty one.
        if self._waiting and self._queued_rows + sum(sizes) > self._max_queue_rows:
            full = f"{self._queued_rows} rows wait and {sum(sizes)} more would pass the limit of {self._max_queue_rows}"
            raise Overloaded(self._drain_s(), full)
        loop = asyncio.get_running_loop()
        entries = []
        for job, rows in zip(jobs, sizes, strict=True):
            entry = _Entry[Job, Result](job, rows, now_s, deadline_s, loop.create_future())
            entries.append(entry)
            self._waiting.add(entry)
            heappush(self._urgent, (math.inf if deadline_s is None else deadline_s, next(self._number), entry))
        self._count_queue(sum(sizes))
        loop.call_soon(self._dispatch)  # not at once: jobs that arrive in the same turn of the loop share a batch
        return entries

    def _drain_s(self) -> float:
        """Seconds in which the queue as it stands will have been run."""
        if self._seconds_per_row is None:
            return FIRST_RETRY_S
        return self._queued_rows * self._seconds_per_row / self._workers

    def _forget(self, entry: _Entry[Job, Result]) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            self._count_queue(-entry.rows)

    def _count_queue(self, change: int) -> None:
        self._queued_rows += change
        if self._observe_queue is not None:
            self._observe_queue(change)

    def _dispatch(self) -> None:
        while len(self._running) < self._workers and not self._closed and (batch := self._next_batch()):
            task = asyncio.get_running_loop().create_task(self._run_batch(batch))
            self._running[task] = batch
            task.add_done_callback(self._finished)

    def _next_batch(self) -> list[_Entry[Job, Result]]:
        """The most urgent entries that fit together, less those that nobody waits for."""
        batch: list[_Entry[Job, Result]] = []
        total = 0
        now_s = self._clock()
        while self._urgent:
            entry = self._urgent[0][2]
            waits = entry in self._waiting and not entry.answer.done()
            expired = entry.deadline_s is not None and entry.deadline_s <= now_s
            if waits and not expired and batch and total + entry.rows > self._max_rows:
                break  # it leads the next batch: letting smaller ones overtake could starve it
            heappop(self._urgent)
            self._forget(entry)
            if not waits:
                continue
            if expired:
                entry.answer.set_exception(_too_late(now_s - entry.queued_at_s))
                continue
            batch.append(entry)
            total += entry.rows
        return batch

    async def _run_batch(self, batch: list[_Entry[Job, Result]]) -> None:
        start_s = self._clock()
        jobs = [entry.job for entry in batch]
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._threads, self._run, jobs)
            if len(results) != len(jobs):
                raise EngineFailure(f"expected {len(jobs)} results from a batch of as many jobs, got {len(results)}")
        except Exception as error:
            self._fail(batch, partial(_engine_failure, error))
            return
        except BaseException:  # the loop is being torn down: nobody may be left waiting
            self._fail(batch, _shutting_down)
            raise
        end_s = self._clock()
        for entry, result in zip(batch, results, strict=True):
            entry.started_at_s, entry.ended_at_s = start_s, end_s
            if entry.answer.done():
                continue
            if isinstance(result, EngineFailure):
                entry.answer.set_exception(result)
            else:
                entry.answer.set_result(result)
        self._measure(batch, start_s, end_s)

    def _measure(self, batch: list[_Entry[Job, Result]], start_s: float, end_s: float) -> None:
        rows = sum(entry.rows for entry in batch)
        per_row = (end_s - start_s) / rows
        before = per_row if self._seconds_per_row is None else self._seconds_per_row
        self._seconds_per_row = before + SMOOTHING * (per_row - before)
        if self._observe is not None:
            self._observe(rows, start_s - min(entry.queued_at_s for entry in batch), end_s - start_s)

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._dispatch()

    def _fail(self, entries: list[_Entry[Job, Result]], make: Callable[[], Exception]) -> None:
        for entry in entries:
            self._forget(entry)
            if not entry.answer.done():
                entry.answer.set_exception(make())  # an exception each: a shared one would grow a traceback a caller


def _too_late(waited_s: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"expected an answer before the deadline, got none after {waited_s:.3f} s: send less at once, or retry later"
    )


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("this instance is shutting down: retry on another, or after it has restarted")


def _engine_failure(cause: Exception) -> EngineFailure:
    failure = EngineFailure(str(cause) if isinstance(cause, EngineFailure) else f"{type(cause).__name__}: {cause}")
    failure.__cause__ = cause
    return failure
