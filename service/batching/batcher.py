"""A dynamic batcher that stays correct on the unhappy path.

A batch leaves as soon as a worker is free: nobody waits for a batch to fill. While all workers are busy the queue
grows, and the next batch takes as much of it as fits, so batches grow with the load and shrink with it. The job with
the nearest deadline leaves first; among equals, the one that came first.

Workers are threads that fetch batches for themselves: one that has run a batch takes the next at once, whatever the
event loop is busy with. Callers are answered on the loop, by callbacks; a future or a task a job would cost as much
processor time as a small model.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Generic

from service.batching.entry import Entry, Job, Result
from service.batching.failures import engine_failure, shutting_down, too_late
from service.errors import CellsenseError, EngineFailure, Overloaded

FIRST_RETRY_S = 1.0  # advice to shed callers before any batch has been timed
SMOOTHING = 0.2  # weight of the newest batch in the running mean of the time per row


class Batcher(Generic[Job, Result]):
    """Groups jobs of concurrent callers into batches and runs them in threads.

    Belongs to one event loop: all of it is called there but `run`. A job larger than `max_rows` runs alone.
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
        """Make a batcher; its threads start with the first jobs.

        Args:
            run: answers a batch, one result a job in the same order, or the failure of that job. Called in a thread,
                by `workers` at once.
            rows: size of a job, at least 1.
            max_rows: most rows in a batch of several jobs.
            max_queue_rows: most rows that wait; more are shed with `Overloaded`.
            workers: batches that run at the same time.
            clock: seconds, monotonic; the time axis of deadlines.
            observe: called after each batch with its rows, the longest time in the queue and the run time in seconds.
            observe_queue: called, also in threads, with the change of the rows that wait.
        """
        self._run = run
        self._rows = rows
        self._max_rows = max_rows
        self._max_queue_rows = max_queue_rows
        self._workers = workers
        self._side_by_side = True
        self._clock = clock
        self._observe = observe
        self._observe_queue = observe_queue
        self._number = count()
        self._seconds_per_row: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waking = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at_s = math.inf
        # What follows belongs to the loop and the threads, under the lock.
        self._lock = threading.Lock()
        self._work_there = threading.Condition(self._lock)
        self._urgent: list[tuple[float, int, Entry[Job, Result]]] = []  # a heap; those that do not wait are passed over
        self._queued_rows = self._reported_rows = 0
        self._batches: dict[int, list[Entry[Job, Result]]] = {}  # taken by a worker and not yet answered
        self._threads = self._idle_threads = 0
        self._closed = False

    @property
    def queued_rows(self) -> int:
        """Rows that wait for a worker; those being run are not counted."""
        return self._queued_rows

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._queued_rows and not self._batches

    def configure(self, max_rows: int, workers: int, side_by_side: bool = True) -> None:
        """Set the most rows of a batch and the batches at the same time, from the next batch on.

        Args:
            max_rows, workers: as for a new batcher.
            side_by_side: whether batches that run at the same time have a processor each: then what waits is shared
                out among the workers that are free. If not, one batch of all of it is sooner done.
        """
        with self._lock:
            self._max_rows, self._workers, self._side_by_side = max_rows, workers, side_by_side
            self._idle_threads = 0
            self._work_there.notify_all()  # those that are too many end
            self._summon()

    def enqueue(
        self,
        jobs: Sequence[Job],
        deadline_s: float | None,
        done: Callable[[Entry[Job, Result]], None],
        sizes: Sequence[int] | None = None,
    ) -> list[Entry[Job, Result]]:
        """Let jobs wait for a batch each, all of them or none.

        Args:
            jobs: what `run` takes, one or more.
            deadline_s: point in time on the batcher's clock after which the answers are of no use.
            done: called once for each entry that has its `result` or its `error`, unless it was abandoned before.
            sizes: of the jobs, where the caller knows them.

        Raises:
            Overloaded: the queue is full.
            DeadlineExceeded: the deadline has passed.
            ShuttingDown: the batcher is closed.
        """
        now_s = self._clock()
        if sizes is None:
            sizes = [self._rows(job) for job in jobs]
        self._admit(sizes, now_s, deadline_s)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        until_s = math.inf if deadline_s is None else deadline_s
        entries = [Entry(job, rows, now_s, until_s, done) for job, rows in zip(jobs, sizes, strict=True)]
        with self._lock:
            for entry in entries:
                heappush(self._urgent, (until_s, next(self._number), entry))
                self._queued_rows += entry.rows
        if until_s < self._alarm_at_s:
            self._set_alarm(until_s)
        if not self._waking:
            self._waking = True
            self._loop.call_soon(self._wake)  # not at once: jobs that arrive in one turn of the loop share a batch
        return entries

    def abandon(self, entries: Iterable[Entry[Job, Result]]) -> None:
        """Forget entries that nobody waits for any more; those that are running run on, for nobody."""
        with self._lock:
            for entry in entries:
                self._drop(entry)
        self._report_queue()

    async def close(self, grace_s: float = 5.0) -> None:
        """Fail every waiting job with `ShuttingDown`, and running ones too if they take longer than `grace_s`."""
        with self._lock:
            self._closed = True
            waiting = [entry for _, _, entry in self._urgent]
            self._urgent.clear()
            self._idle_threads = 0
            self._work_there.notify_all()
        for entry in waiting:
            self._fail(entry, shutting_down)
        end_s = time.monotonic() + grace_s
        while self._batches and time.monotonic() < end_s:
            await asyncio.sleep(0.002)
        for batch in list(self._batches.values()):
            for entry in batch:
                self._fail(entry, shutting_down)
        if self._alarm is not None:
            self._alarm.cancel()

    # ---- on the loop

    def _admit(self, sizes: Sequence[int], now_s: float, deadline_s: float | None) -> None:
        if self._closed:
            raise shutting_down()
        if deadline_s is not None and deadline_s <= now_s:
            raise too_late(0.0)
        if min(sizes, default=0) < 1:
            raise ValueError(f"rows: expected one or more jobs of at least 1 row each, got {sizes}")
        # Jobs larger than the whole queue could never enter a queue that is not empty, so they may enter an empty one.
        queued, more = self._queued_rows, sum(sizes)
        if queued and queued + more > self._max_queue_rows:
            full = f"{queued} rows wait and {more} more would pass the limit of {self._max_queue_rows}"
            per_row_s = self._seconds_per_row
            raise Overloaded(FIRST_RETRY_S if per_row_s is None else queued * per_row_s / self._workers, full)

    def _wake(self) -> None:
        self._waking = False
        self._report_queue()
        with self._lock:
            self._summon()

    def _set_alarm(self, at_s: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        assert self._loop is not None, "an entry set it"
        self._alarm_at_s = at_s
        self._alarm = self._loop.call_later(max(0.0, at_s - self._clock()), self._ring)

    def _ring(self) -> None:
        """Fail what is too late by now, waiting or running; one timer serves all."""
        now_s = max(self._alarm_at_s, self._clock())
        self._alarm, self._alarm_at_s = None, math.inf
        with self._lock:
            late = []
            while self._urgent and (self._urgent[0][0] <= now_s or self._urgent[0][2].over):
                late.append(heappop(self._urgent)[2])
            running = [entry for batch in self._batches.values() for entry in batch if not entry.over]
            late += [entry for entry in running if entry.deadline_s <= now_s]
            following = [entry.deadline_s for entry in running if entry.deadline_s > now_s]
            following += [self._urgent[0][0]] if self._urgent else []
        for entry in late:
            self._fail(entry, partial(too_late, now_s - entry.queued_at_s))
        if following and (earliest_s := min(following)) < self._alarm_at_s:
            self._set_alarm(earliest_s)

    def _deliver(
        self, key: int, results: Sequence[Result | EngineFailure] | Exception, start_s: float, end_s: float
    ) -> None:
        """A batch was run: answer whoever still waits for it."""
        with self._lock:
            batch = self._batches.pop(key)
        for position, entry in enumerate(batch):
            entry.started_at_s, entry.ended_at_s = start_s, end_s
            if entry.over:
                continue
            if isinstance(results, Exception):
                self._fail(entry, partial(engine_failure, results))
                continue
            result = results[position]
            if isinstance(result, EngineFailure):
                entry.error = result
            else:
                entry.result = result
            self._settle(entry)
        if isinstance(results, Exception):
            return
        rows = sum(entry.rows for entry in batch)
        per_row_s = (end_s - start_s) / rows
        before_s = per_row_s if self._seconds_per_row is None else self._seconds_per_row
        self._seconds_per_row = before_s + SMOOTHING * (per_row_s - before_s)
        if self._observe is not None:
            self._observe(rows, start_s - min(entry.queued_at_s for entry in batch), end_s - start_s)

    def _fail(self, entry: Entry[Job, Result], make: Callable[[], CellsenseError]) -> None:
        if entry.over:
            return
        with self._lock:
            self._drop(entry)
        self._report_queue()
        entry.error = make()  # an exception each: a shared one would grow a traceback a caller
        self._settle(entry)

    def _settle(self, entry: Entry[Job, Result]) -> None:
        entry.over = True
        try:
            entry.done(entry)
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        assert self._loop is not None, "an entry set it"
        self._loop.call_exception_handler({"message": "Whoever looks on failed", "exception": error})

    # ---- under the lock

    def _drop(self, entry: Entry[Job, Result]) -> None:
        """Take an entry out of what waits, if it does."""
        if not entry.over and not entry.taken:
            self._queued_rows -= entry.rows
        entry.over = True

    def _summon(self) -> None:
        """See that a worker comes for what waits, if one is free."""
        if self._closed or not self._queued_rows:
            return
        if self._idle_threads:
            self._idle_threads -= 1
            self._work_there.notify()
        elif self._threads < self._workers:
            self._threads += 1
            threading.Thread(target=self._work, name=f"batch_{self._threads}", daemon=True).start()

    def _next_batch(self) -> tuple[list[Entry[Job, Result]], list[Entry[Job, Result]]]:
        """The most urgent entries that fit together, and those that are too late."""
        batch: list[Entry[Job, Result]] = []
        late: list[Entry[Job, Result]] = []
        total, now_s = 0, self._clock()
        free = max(1, self._workers - len(self._batches)) if self._side_by_side else 1
        most = min(self._max_rows, -(-self._queued_rows // free))
        while self._urgent:
            deadline_s, _, entry = self._urgent[0]
            waits, expired = not entry.over, deadline_s <= now_s
            if waits and not expired and batch and total + entry.rows > most:
                break  # it leads the next batch: letting smaller ones overtake could starve it
            heappop(self._urgent)
            if not waits:
                continue
            if expired:
                late.append(entry)
                continue
            entry.taken = True
            self._queued_rows -= entry.rows
            batch.append(entry)
            total += entry.rows
        return batch, late

    # ---- in the threads

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            key, batch = taken
            self._report_queue()
            start_s = self._clock()
            results = self._results([entry.job for entry in batch])
            self._on_loop(self._deliver, key, results, start_s, self._clock())
            del batch, results, taken  # a thread that waits keeps nothing alive

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None, "an entry set it"
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits for anything any more
            self._closed = True

    def _report_queue(self) -> None:
        """Say how many rows joined and left the queue since the last time. On the loop and in threads."""
        with self._lock:
            change = self._queued_rows - self._reported_rows
            self._reported_rows = self._queued_rows
        if not change or self._observe_queue is None:
            return
        try:
            self._observe_queue(change)
        except Exception as error:
            self._on_loop(self._complain, error)

    def _take(self) -> tuple[int, list[Entry[Job, Result]]] | None:
        """The next batch, as soon as there is one; None where this thread is to end."""
        with self._lock:
            while not self._closed and self._threads <= self._workers:
                batch, late = self._next_batch()
                if late:
                    now_s = self._clock()
                    for entry in late:
                        self._on_loop(self._fail, entry, partial(too_late, now_s - entry.queued_at_s))
                if batch:
                    key = next(self._number)
                    self._batches[key] = batch
                    self._summon()  # for what is left
                    return key, batch
                self._idle_threads += 1
                self._work_there.wait()
            self._threads -= 1
            return None

    def _results(self, jobs: list[Job]) -> Sequence[Result | EngineFailure] | Exception:
        try:
            results = self._run(jobs)
        except Exception as error:
            return error
        if len(results) != len(jobs):
            return EngineFailure(f"expected {len(jobs)} results from a batch of as many jobs, got {len(results)}")
        return results
