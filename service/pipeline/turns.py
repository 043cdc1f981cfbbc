"""Requests take turns: what waits is answered together, by as many turns at a time as there are processors.

The calls of NumPy, the round trips and the runs of a model cost much the same for one frame as for ten. While all
turns are taken requests wait, and the next turn takes all that fits of what waits: turns grow with the load, and an
idle service answers at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.errors import Overloaded, ShuttingDown

FIRST_RETRY_S = 1.0  # advice to shed callers before any turn has been timed
SMOOTHING = 0.2  # weight of the newest turn in the running means
COMPANY = 0.1  # of the mean time of a turn: so long a turn beside another waits for more parts, which most often are on
# their way, for those who were answered together ask again together

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """How much at a time.

    Attributes:
        at_once: turns at a time.
        max_work: most work of a turn of several parts.
        max_parts: most parts of a turn.
        max_queue_rows: most rows that wait.
    """

    at_once: int
    max_work: int
    max_parts: int
    max_queue_rows: int


@dataclass(frozen=True, slots=True)
class TurnMetrics:
    """What is told of the queue.

    Attributes:
        queue_rows: called with each change of the rows that wait.
        turn: called once a turn with the longest wait in seconds.
        part: called once a part with the times of `time.monotonic()` at which it came and at which its turn began.
    """

    queue_rows: Callable[[int], object]
    turn: Callable[[float], object]
    part: Callable[[float, float], object]


class Turns(Generic[Part]):
    """Gathers the parts of callers that call in one turn of the event loop, or while all turns are taken.

    First come, first served. Belongs to one event loop.
    """

    def __init__(self, do: Callable[[list[Part]], Awaitable[None]], limits: TurnLimits, metrics: TurnMetrics) -> None:
        """Have `do` do the parts that came together."""
        self._do, self._limits, self._metrics = do, limits, metrics
        self._waiting: dict[Entry[Part], None] = {}  # in the order in which they came
        self._queued_rows = self._queued_work = 0
        self._running = 0
        self._next: asyncio.Handle | None = None
        self._turn_s = self._row_s = 0.0  # running means
        self._closed = False

    @property
    def queued_rows(self) -> int:
        """Rows that wait for a turn."""
        return self._queued_rows

    def enter(self, part: Part, rows: int, work: int, done: Callable[[Exception | None], None]) -> Entry[Part]:
        """Let a part wait for its turn.

        Args:
            part: to be done.
            rows: how much waits with it.
            work: how much of a turn it takes.
            done: called once, with what was raised if anything was, unless the entry leaves before.

        Raises:
            Overloaded: too much waits.
            ShuttingDown: closed.
        """
        if self._closed:
            raise _shutting_down()
        # What is larger than the whole queue could never enter a queue that is not empty, so it may enter an empty one.
        if self._queued_rows and self._queued_rows + rows > self._limits.max_queue_rows:
            full = (
                f"{self._queued_rows} rows wait and {rows} more would pass the limit of {self._limits.max_queue_rows}"
            )
            raise Overloaded(self._queued_rows * self._row_s / self._limits.at_once or FIRST_RETRY_S, full)
        entry = Entry(self, part, rows, work, done)
        self._waiting[entry] = None
        self._count([entry], 1)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._begin)
        return entry

    def leave(self, entry: Entry[Part]) -> None:
        """Nobody waits for an entry any more. A turn that has nobody left is cancelled."""
        if entry.over:
            return
        entry.forget()
        if entry.turn is None:
            del self._waiting[entry]
            self._count([entry], -1)
        elif all(each.over for each in entry.turn.entries):
            entry.turn.cancel()

    def close(self) -> None:
        """Fail what waits; what runs is left to end."""
        self._closed = True
        waiting, self._waiting = list(self._waiting), {}
        self._count(waiting, -1)
        for entry in waiting:
            entry.end(_shutting_down())

    # ---- turns

    def _begin(self) -> None:
        """Begin as many turns as may run now."""
        self._next = None
        while self._waiting and self._running < self._limits.at_once:
            if self._running and (alone_s := self._wait_for_company_s()) > 0:
                self._next = asyncio.get_running_loop().call_later(alone_s, self._begin)
                return
            entries = self._take()
            began_s = time.monotonic()
            for entry in entries:
                self._metrics.part(entry.came_s, began_s)
            self._metrics.turn(began_s - entries[0].came_s)
            self._running += 1
            _Turn(entries, self._do, self._ended)

    def _wait_for_company_s(self) -> float:
        """Seconds that a turn of what waits had better wait, beside one that runs."""
        if self._queued_work >= self._limits.max_work or len(self._waiting) >= self._limits.max_parts:
            return 0.0
        return next(iter(self._waiting)).came_s + COMPANY * self._turn_s - time.monotonic()

    def _take(self) -> list[Entry[Part]]:
        """The longest waiting parts that fit into a turn; shared out among all turns that may begin now."""
        free = self._limits.at_once - self._running
        most, work = min(self._limits.max_work, -(-self._queued_work // free)), 0
        entries: list[Entry[Part]] = []
        for entry in self._waiting:
            work += entry.work
            if entries and (work > most or len(entries) == self._limits.max_parts):
                break
            entries.append(entry)
        for entry in entries:
            del self._waiting[entry]
        self._count(entries, -1)
        return entries

    def _ended(self, turn: _Turn[Part], took_s: float) -> None:
        self._running -= 1
        weight = SMOOTHING if self._turn_s else 1.0
        self._turn_s += weight * (took_s - self._turn_s)
        self._row_s += weight * (took_s / sum(entry.rows for entry in turn.entries) - self._row_s)
        if self._next is not None:
            self._next.cancel()
        self._begin()

    def _count(self, entries: Iterable[Entry[Part]], sign: int) -> None:
        rows = sign * sum(entry.rows for entry in entries)
        self._queued_rows += rows
        self._queued_work += sign * sum(entry.work for entry in entries)
        self._metrics.queue_rows(rows)


class Entry(Generic[Part]):
    """A part that waits for its turn, or has it.

    Attributes:
        part, rows, work: see `Turns.enter`.
        came_s: time of `time.monotonic()`.
        context: of the caller.
        turn: once it has begun.
        over: whether nobody waits for it any more.
    """

    __slots__ = ("_done", "_turns", "came_s", "context", "over", "part", "rows", "turn", "work")

    def __init__(
        self, turns: Turns[Part], part: Part, rows: int, work: int, done: Callable[[Exception | None], None]
    ) -> None:
        self._turns, self._done = turns, done
        self.part, self.rows, self.work = part, rows, work
        self.came_s = time.monotonic()
        self.context = contextvars.copy_context()
        self.turn: _Turn[Part] | None = None
        self.over = False

    def leave(self) -> None:
        """See `Turns.leave`."""
        self._turns.leave(self)

    def forget(self) -> None:
        """Nobody waits any more. Whoever did is let go of: a cycle would keep the request until somebody looks."""
        self.over, self._done = True, _nobody

    def end(self, error: Exception | None) -> None:
        """Tell whoever still waits."""
        if self.over:
            return
        done = self._done
        self.forget()
        try:
            done(error)
        except Exception as raised:  # by one: the others are answered all the same
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "Whoever waited failed", "exception": raised})


class _Turn(Generic[Part]):
    """Entries that are done together."""

    def __init__(
        self,
        entries: list[Entry[Part]],
        do: Callable[[list[Part]], Awaitable[None]],
        ended: Callable[[_Turn[Part], float], None],
    ) -> None:
        self.entries = entries
        self._ended, self._began_s = ended, time.monotonic()
        for entry in entries:
            entry.turn = self
        # What is done for several belongs to none of them: its log lines bear the identity of no request.
        context = entries[0].context if len(entries) == 1 else contextvars.Context()
        self._task = asyncio.get_running_loop().create_task(self._run(do), context=context)
        self._task.add_done_callback(self._over)

    def cancel(self) -> None:
        """Nobody waits for it."""
        self._task.cancel()

    async def _run(self, do: Callable[[list[Part]], Awaitable[None]]) -> None:
        error: Exception | None = None
        try:
            await do([entry.part for entry in self.entries])
        except Exception as raised:
            error = raised
        for entry in self.entries:
            entry.end(error)

    def _over(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # by the loop that ends, most likely: nobody may be left to wait
            for entry in self.entries:
                entry.end(_shutting_down())
        self._ended(self, time.monotonic() - self._began_s)
        for entry in self.entries:
            entry.turn = None  # as in `Entry.forget`


def _nobody(_: Exception | None) -> None:
    """Waits any more."""


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("this instance is shutting down: retry on another, or after it has restarted")
