"""A batcher whose callers wait for their answers, as tests like to; the service takes them by calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from service.batching.batcher import Batcher
from service.batching.entry import Entry, Job, Result


class AskedBatcher(Batcher[Job, Result]):
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
            jobs: see `enqueue`.
            deadline_s: see `enqueue`.
            observe: called with the times on the clock at which the jobs were queued, the first of them was started
                and the last was answered, once they all are.

        Raises:
            Overloaded, DeadlineExceeded, ShuttingDown: see `enqueue`; the latter two also while a job waits or runs.
            EngineFailure: `run` raised, from its exception, or returned another number of results.
        """
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = len(jobs)

        def done(entry: Entry[Job, Result]) -> None:
            nonlocal left
            left -= 1
            if answered.done():
                return
            if entry.error is not None:
                answered.set_exception(entry.error)
            elif not left:
                answered.set_result(None)

        entries = self.enqueue(jobs, deadline_s, done)
        try:
            await answered
        except BaseException:
            self.abandon(entries)
            raise
        if observe is not None:
            observe(
                entries[0].queued_at_s,
                min(entry.started_at_s for entry in entries),
                max(entry.ended_at_s for entry in entries),
            )
        return [entry.answer for entry in entries]
