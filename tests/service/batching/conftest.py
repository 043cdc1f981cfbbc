"""Batchers under test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.service.batching.asked import AskedBatcher
from tests.service.batching.gated_run import GatedRun, Make


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes batchers of one row a job; closes them, and lets go of what they still run."""
    made: list[tuple[AskedBatcher[int, int], Callable[[list[int]], list[int]]]] = []

    def build(run: Callable[[list[int]], list[int]], **options: object) -> AskedBatcher[int, int]:
        values = {"rows": lambda job: 1, "max_rows": 4, "max_queue_rows": 100, **options}
        batcher: AskedBatcher[int, int] = AskedBatcher(run, **values)  # type: ignore[arg-type]  # options vary by test
        made.append((batcher, run))
        return batcher

    yield build
    for batcher, run in made:
        if isinstance(run, GatedRun):
            run.let_go(100)
        await batcher.close()
