"""A graph that runs for many callers at once, in as few runs of the engine as they arrive together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog

from service.batching.batcher import Batcher
from service.engine.merging import cut, merging
from service.engine.protocol import Engine, Inputs, Outputs
from service.errors import EngineFailure
from service.metrics.compute import ComputeMetrics
from service.runner.graph_call import GraphCall
from service.runner.runner import Done, Runner, model_name
from service.runner.statistics import GraphStatistics
from service.settings import Settings

DRAIN_S = 10.0  # that a model which is replaced may take to answer what waits for it

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class GraphRunner(Runner):
    """One graph of an engine in this process, with a queue of its own. See `Runner`.

    Attributes:
        statistics: what it has done.
    """

    def __init__(
        self,
        engine: Engine,
        graph: str,
        metrics: ComputeMetrics,
        *,
        max_queue_rows: int,
        max_rows: int | None = None,
    ) -> None:
        """Put a queue in front of a graph.

        Args:
            engine: that runs it.
            graph: one of the contract of its artifact.
            metrics: what is counted.
            max_queue_rows: most rows that wait.
            max_rows: most rows of a run; by default what the engine says once it is warm.
        """
        contract = engine.manifest.tensors
        self.name = model_name(engine.name, len(contract.graphs), graph)
        self.inputs, self.outputs = contract.graphs[graph]
        self.version = engine.manifest.version
        self.steps = contract.steps
        self.statistics = GraphStatistics()
        self._engine, self._graph = engine, graph
        self._merging = merging(contract, graph)
        self.by_rows = not self._merging.alone
        self._given_rows = max_rows
        self._compute_duration = metrics.compute_duration.labels(self.name)
        batch_rows, queue_duration = metrics.batch_rows.labels(self.name), metrics.queue_duration.labels(self.name)

        def observe(rows: int, queue_s: float, run_s: float) -> None:
            batch_rows.observe(rows)
            queue_duration.observe(queue_s)

        self._batcher: Batcher[Inputs, Outputs] = Batcher(
            self._run,
            self._merging.rows,
            max_rows=1,
            max_queue_rows=max_queue_rows,
            clock=time.monotonic,
            observe=observe,
            observe_queue=metrics.queue_rows.labels(self.name).inc,
        )
        self.follow_plan()

    def follow_plan(self) -> None:
        """Run from now on as the engine, which has found out in its `warm_up`, says that it runs best."""
        plan = self._engine.plan(self._graph)
        self.max_rows = 1 if self._merging.alone else self._given_rows or plan.rows
        self._batcher.configure(self.max_rows, plan.sessions, plan.side_by_side)

    def enqueue(self, inputs: Inputs, deadline_s: float, done: Done) -> GraphCall:
        """Let inputs of the graph wait for a run; the answer comes by a call on the event loop.

        Args:
            inputs: as the contract says; more rows than a run should have are cut into several.
            deadline_s: a time of `time.monotonic()` after which the answer is of no use.
            done: called once with the outputs or the error, unless the call is cancelled before.

        Raises:
            Overloaded, DeadlineExceeded, ShuttingDown: at once; see `Batcher.enqueue`.
        """
        rows = self._merging.rows(inputs)
        pieces = None if rows <= self.max_rows or not self._merging.cut else cut(inputs, self.max_rows)
        sizes = [rows] if pieces is None else list(map(self._merging.rows, pieces))
        return GraphCall(self._batcher, self.statistics, pieces or [inputs], sizes, deadline_s, done)

    @property
    def queued_rows(self) -> int:
        """Rows that wait."""
        return self._batcher.queued_rows

    async def read_statistics(self) -> GraphStatistics:
        """What the graph has done."""
        return self.statistics

    async def drain(self, grace_s: float = DRAIN_S) -> None:
        """Wait until nothing waits or runs, at most for `grace_s`."""
        end_s = time.monotonic() + grace_s
        while not self._batcher.idle and time.monotonic() < end_s:
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Fail what waits, finish what runs."""
        await self._batcher.close()

    def _run(self, jobs: list[Inputs]) -> Sequence[Outputs | EngineFailure]:
        try:
            return self._run_together(jobs)
        except EngineFailure as error:
            if len(jobs) == 1:
                raise
            log.warning("A batch failed: each of its jobs is run alone", model=self.name, error=str(error))
            return [self._run_alone(job) for job in jobs]

    def _run_alone(self, job: Inputs) -> Outputs | EngineFailure:
        try:
            return self._run_together([job])[0]
        except EngineFailure as error:
            return error

    def _run_together(self, jobs: list[Inputs]) -> list[Outputs]:
        timed = _Timed(self._engine)
        started_s = time.perf_counter()
        answers = self._merging.run(timed, jobs)
        ended_s = time.perf_counter()
        rows = sum(map(self._merging.rows, jobs))
        compute_s = timed.ended_s - timed.started_s
        self.statistics.ran(rows, len(jobs), timed.started_s - started_s, compute_s, ended_s - timed.ended_s)
        self._compute_duration.observe(compute_s)
        return answers


def runners(engine: Engine, settings: Settings, metrics: ComputeMetrics) -> dict[str, GraphRunner]:
    """A runner for each graph of an engine, by the name of the graph, with the limits that are set."""
    return {
        graph: GraphRunner(
            engine, graph, metrics, max_queue_rows=settings.max_queue_rows, max_rows=settings.max_run_rows
        )
        for graph in engine.manifest.tensors.graphs
    }


class _Timed:
    """An engine's `run`, and from when to when it ran."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.started_s = self.ended_s = 0.0

    def run(self, graph: str, inputs: Inputs) -> Outputs:
        self.started_s = time.perf_counter()
        outputs = self._engine.run(graph, inputs)
        self.ended_s = time.perf_counter()
        return outputs
