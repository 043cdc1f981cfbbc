"""What runs a graph for many callers, wherever the engine is: in this process or in another."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from service.contract.tensors import TensorSpec
from service.engine.protocol import Inputs, Outputs
from service.errors import CellsenseError
from service.runner.statistics import GraphStatistics

Done = Callable[[Outputs | CellsenseError], None]
Observe = Callable[[float, float, float], None]


class Call(Protocol):
    """Waits, or runs, or is over."""

    @property
    def queued_at_s(self) -> float:
        """A time of `time.monotonic()`."""

    @property
    def started_at_s(self) -> float:
        """The same, once it is answered."""

    @property
    def ended_at_s(self) -> float:
        """The same."""

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""


class Runner(ABC):
    """One graph of an engine. Belongs to one event loop.

    Attributes:
        name: of the model that it is to callers from outside: that of the artifact, where it has a single graph, else
            `<artifact>-<graph>`.
        version: of the artifact.
        steps: T of its contract, 0 where there is none.
        inputs, outputs: its tensors.
        max_rows: most rows of a run.
        by_rows: whether requests run together: where all tensors have rows, and no other size is free.
    """

    name: str
    version: str
    steps: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_rows: int
    by_rows: bool

    @property
    @abstractmethod
    def queued_rows(self) -> int:
        """Rows that wait."""

    @abstractmethod
    def enqueue(self, inputs: Inputs, deadline_s: float, done: Done) -> Call:
        """Let inputs of the graph wait for a run; the answer comes by a call on the event loop.

        Args:
            inputs: as the contract says.
            deadline_s: a time of `time.monotonic()` after which the answer is of no use.
            done: called once with the outputs or the error, unless the call is cancelled before.

        Raises:
            CellsenseError: at once, where they cannot wait.
        """

    @abstractmethod
    async def read_statistics(self) -> GraphStatistics:
        """What the graph has done. Raises `Unavailable` where that cannot be had."""

    @abstractmethod
    async def close(self) -> None:
        """Fail what waits, finish what runs."""

    async def submit(self, inputs: Inputs, deadline_s: float, observe: Observe | None = None) -> Outputs:
        """Inputs of the graph to its outputs.

        Args:
            inputs, deadline_s: see `enqueue`.
            observe: called with the times at which it was queued, started and answered.

        Raises:
            CellsenseError: see `enqueue`; the same may happen while it waits.
        """
        answer: asyncio.Future[Outputs] = asyncio.get_running_loop().create_future()

        def done(outcome: Outputs | CellsenseError) -> None:
            if answer.done():
                return
            if isinstance(outcome, CellsenseError):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        call = self.enqueue(inputs, deadline_s, done)
        try:
            outputs = await answer
        except asyncio.CancelledError:
            call.cancel()
            raise
        if observe is not None:
            observe(call.queued_at_s, call.started_at_s, call.ended_at_s)
        return outputs


def model_name(artifact: str, graphs: int, graph: str) -> str:
    """Name of the model that a graph of an artifact is to callers from outside."""
    return artifact if graphs == 1 else f"{artifact}-{graph}"
