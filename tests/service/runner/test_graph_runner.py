from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.engine.onnx_engine import OnnxEngine
from service.engine.protocol import Inputs, Outputs, Plan
from service.errors import DeadlineExceeded, EngineFailure, Overloaded, ShuttingDown
from service.metrics import Metrics
from service.runner.graph_runner import GraphRunner
from tests.service.engine.generic import write_generic

FOREVER_S = time.monotonic() + 3600


class Recording:
    """An engine that keeps what it ran, fails on negative numbers, and can be held up."""

    def __init__(self, engine: OnnxEngine, plan: Plan) -> None:
        self.manifest, self.name, self.providers = engine.manifest, engine.name, engine.providers
        self.rows: list[int] = []
        self.let_go = asyncio.Event()
        self.let_go.set()
        self._engine, self._plan = engine, plan
        self._loop = asyncio.get_running_loop()

    def plan(self, graph: str) -> Plan:
        return self._plan

    def warm_up(self) -> None:
        self._plan = Plan(sessions=2, rows=4)

    def run(self, graph: str, inputs: Inputs) -> Outputs:
        asyncio.run_coroutine_threadsafe(self.let_go.wait(), self._loop).result(10)
        self.rows.append(len(inputs["x"]))
        if (np.asarray(inputs["x"]) < 0).any():
            raise EngineFailure("a negative number")
        return self._engine.run(graph, inputs)


@pytest.fixture
async def engine(tmp_path: Path) -> Recording:
    write_generic(tmp_path)
    return Recording(OnnxEngine.load(tmp_path, intra_op_threads=1), Plan(sessions=1, rows=3))


@pytest.fixture
async def runner(engine: Recording) -> AsyncIterator[GraphRunner]:
    runner = GraphRunner(engine, "model", Metrics(None, "test").compute, max_queue_rows=32)
    runner.follow_plan()
    yield runner
    await runner.close()


def inputs(rows: int, value: float = 1.0) -> dict[str, NDArray[Any]]:
    return {"x": np.full((rows, 3), value, np.float32), "picture": np.zeros((rows, 2), np.uint8)}


async def test_a_graph_alone_is_a_model_by_the_name_of_its_artifact(runner: GraphRunner) -> None:
    assert (runner.name, runner.version, runner.steps, runner.by_rows) == ("doubler", "1", 0, True)
    assert [spec.name for spec in runner.inputs] == ["x", "picture"]


async def test_more_rows_than_a_run_should_have_are_cut_and_joined(engine: Recording, runner: GraphRunner) -> None:
    job = inputs(8)
    job["x"] = np.arange(24, dtype=np.float32).reshape(8, 3)
    answer = await runner.submit(job, FOREVER_S)
    np.testing.assert_array_equal(answer["double"], 2 * job["x"])
    assert sorted(engine.rows) == [2, 3, 3]


async def test_it_runs_by_the_plan_that_the_engine_found(engine: Recording, runner: GraphRunner) -> None:
    engine.warm_up()
    runner.follow_plan()
    await runner.submit(inputs(8), FOREVER_S)
    assert (runner.max_rows, engine.rows) == (4, [4, 4])


async def test_rows_that_were_given_are_kept(engine: Recording) -> None:
    runner = GraphRunner(engine, "model", Metrics(None, "test").compute, max_queue_rows=32, max_rows=5)
    runner.follow_plan()
    assert runner.max_rows == 5
    await runner.close()


async def test_one_callers_numbers_fail_nobody_else(engine: Recording, runner: GraphRunner) -> None:
    engine.let_go.clear()
    first = asyncio.create_task(runner.submit(inputs(1), FOREVER_S))
    await asyncio.sleep(0.01)
    mates = [asyncio.create_task(runner.submit(inputs(1, value), FOREVER_S)) for value in (2.0, -1.0, 3.0)]
    await asyncio.sleep(0.01)
    engine.let_go.set()
    answers = await asyncio.gather(first, *mates, return_exceptions=True)
    failures = [answer for answer in answers if isinstance(answer, Exception)]
    assert [str(failure) for failure in failures] == ["a negative number"]
    assert isinstance(answers[2], EngineFailure)
    for answer, value in ((answers[1], 2.0), (answers[3], 3.0)):
        assert isinstance(answer, dict)
        np.testing.assert_array_equal(answer["double"], np.full((1, 3), 2 * value))
    assert engine.rows == [1, 3, 1, 1, 1]


async def test_the_tensors_of_a_call_go_with_it_and_wait_for_no_garbage_collector(runner: GraphRunner) -> None:
    gone = []
    gc.collect()
    gc.disable()
    try:
        for rows in (2, 40):  # in one piece, and in several
            call = inputs(rows)
            gone += [weakref.ref(tensor) for tensor in call.values()]
            await runner.submit(call, FOREVER_S)
            del call
        await runner.submit(inputs(1), FOREVER_S)  # a thread may hold its last batch until it has another
        assert [tensor() is None for tensor in gone] == [True] * len(gone)
    finally:
        gc.enable()


async def test_statistics_tell_success_from_failure(runner: GraphRunner) -> None:
    await runner.submit(inputs(2), FOREVER_S)
    with pytest.raises(EngineFailure):
        await runner.submit(inputs(1, -1.0), FOREVER_S)
    with pytest.raises(DeadlineExceeded):
        await runner.submit(inputs(1), time.monotonic() - 1)
    found = runner.statistics
    assert (found.success.count, found.fail.count, found.rows, found.runs) == (1, 2, 2, 1)
    assert found.success.total_s >= found.queue.total_s > 0
    assert list(found.batches) == [2]
    assert found.last_unix_ms > 1_700_000_000_000


async def test_what_waits_is_answered_before_a_model_is_drained(engine: Recording, runner: GraphRunner) -> None:
    engine.let_go.clear()
    waiting = [asyncio.create_task(runner.submit(inputs(3), FOREVER_S)) for _ in range(4)]
    await asyncio.sleep(0.01)
    assert runner.queued_rows == 9
    draining = asyncio.create_task(runner.drain())
    await asyncio.sleep(0.02)
    assert not draining.done()
    engine.let_go.set()
    await asyncio.wait_for(draining, 5)
    assert len(await asyncio.gather(*waiting)) == 4


async def test_a_full_queue_and_a_closed_model_turn_away(engine: Recording, runner: GraphRunner) -> None:
    engine.let_go.clear()
    jobs = [asyncio.create_task(runner.submit(inputs(3), FOREVER_S))]
    await asyncio.sleep(0.01)  # it runs: the queue of 32 rows is empty
    jobs += [asyncio.create_task(runner.submit(inputs(3), FOREVER_S)) for _ in range(10)]
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        await runner.submit(inputs(3), FOREVER_S)
    engine.let_go.set()
    await asyncio.gather(*jobs)
    await runner.close()
    with pytest.raises(ShuttingDown):
        await runner.submit(inputs(1), FOREVER_S)
