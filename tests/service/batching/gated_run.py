"""What batchers under test are made with: a `run` that the test holds up and lets go, a clock that it winds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from tests.service.batching.asked import AskedBatcher

Make = Callable[..., AskedBatcher[int, int]]


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class GatedRun:
    """Squares each job; records every batch; each batch waits until the test lets it go."""

    def __init__(self, answer: Callable[[list[int]], list[int]] | None = None) -> None:
        self.batches: list[list[int]] = []
        self._answer = answer or (lambda jobs: [job * job for job in jobs])
        self._gate = threading.Semaphore(0)

    def __call__(self, jobs: list[int]) -> list[int]:
        self.batches.append(jobs)
        assert self._gate.acquire(timeout=10), "the test never let this batch go"
        return self._answer(jobs)

    def let_go(self, batches: int = 1) -> None:
        self._gate.release(batches)

    async def started(self, batches: int) -> None:
        """Return once that many batches have reached a worker."""
        async with asyncio.timeout(5):
            while len(self.batches) < batches:
                await asyncio.sleep(0.001)


async def settle(turns: int = 5) -> None:
    """Let everything that is ready run, without waiting for time to pass."""
    for _ in range(turns):
        await asyncio.sleep(0)
