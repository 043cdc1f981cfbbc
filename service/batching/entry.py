"""One job in the queue of a batcher, from its arrival to its answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

from service.errors import CellsenseError

Job = TypeVar("Job")
Result = TypeVar("Result")


class Entry(Generic[Job, Result]):
    """A job and what became of it.

    Attributes:
        job: what is to be done.
        rows: its size.
        queued_at_s, started_at_s, ended_at_s: times on the batcher's clock; NaN for what did not happen (yet: a job
            that is over while it runs still ends).
        deadline_s: the time after which nobody wants the answer, infinite where the caller did not say.
        done: to be called with this entry once it has its `result` or its `error`.
        taken: whether a worker has it, or had.
        over: whether it was answered or abandoned.
    """

    __slots__ = (
        "deadline_s", "done", "ended_at_s", "error", "job", "over", "queued_at_s", "result", "rows", "started_at_s",
        "taken",
    )  # fmt: skip

    def __init__(
        self,
        job: Job,
        rows: int,
        queued_at_s: float,
        deadline_s: float,
        done: Callable[[Entry[Job, Result]], None],
    ) -> None:
        self.job = job
        self.rows = rows
        self.queued_at_s = queued_at_s
        self.started_at_s = self.ended_at_s = math.nan
        self.deadline_s = deadline_s
        self.done = done
        self.result: Result | None = None
        self.error: CellsenseError | None = None
        self.taken = self.over = False

    @property
    def answer(self) -> Result:
        """The result. Raises the error where there is one."""
        if self.error is not None:
            raise self.error
        assert self.result is not None, "asked before it was answered"
        return self.result
