from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from service.errors import (
    ArtifactError,
    EngineFailure,
    Overloaded,
    Unavailable,
    UnknownModel,
)
from tests.service.engine.artifacts import write_artifact
from tests.service.engine.generic import doubler_inputs, write_generic
from tests.service.engine.inputs import encode_inputs, fuse_inputs
from tests.service.remote.pair import (
    FOREVER_S,
    MODEL,
    GatewaySide,
    Pair,
    answers_well,
    pair,
    runner_of,
    started,
    until,
)


async def test_a_gateway_is_told_what_the_engine_serves(both: Pair) -> None:
    _, (side,) = await started(both)
    runner = side.mirror.runner(MODEL)
    assert (runner.name, runner.version, runner.steps, runner.by_rows, runner.max_rows) == (MODEL, "1", 0, True, 4)
    assert [spec.name for spec in runner.inputs] == ["x", "picture"]
    assert [model.state for model in side.mirror.index()] == ["READY"]


async def test_answers_are_those_of_the_engine_itself(both: Pair) -> None:
    _, (side,) = await started(both)
    for rows in (1, 3, 4, 9):
        await answers_well(runner_of(side), rows, seed=rows)
    assert side.link.segment.taken_bytes == 0


async def test_frames_of_several_gateways_share_a_batch(both: Pair) -> None:
    engine, sides = await started(both, gateways=2)
    gate = engine.engines[MODEL]
    gate.go.clear()
    first = asyncio.create_task(answers_well(runner_of(sides[0]), rows=1))
    await until(lambda: gate.running)
    others = [asyncio.create_task(answers_well(runner_of(side), rows=2, seed=n)) for n, side in enumerate(sides)]
    await until(lambda: engine.repository.runner(MODEL).queued_rows == 4)
    gate.go.set()
    await asyncio.gather(first, *others)
    assert gate.rows == [1, 4]


async def test_inputs_in_the_segment_are_not_copied(both: Pair) -> None:
    engine, (side,) = await started(both)
    gate, runner, segment = engine.engines[MODEL], runner_of(side), side.link.segment
    gate.go.clear()
    body = segment.take(100)
    inputs = {
        "x": np.frombuffer(body.view, np.float32, 6, 4).reshape(2, 3),
        "picture": np.frombuffer(body.view, np.uint8, 4, 28).reshape(2, 2),
    }
    inputs["x"][:] = [[1, 2, 3], [4, 5, 6]]
    inputs["picture"][:] = [[1, 3], [5, 7]]
    taken = segment.taken_bytes
    answer = asyncio.create_task(runner.submit(inputs, FOREVER_S))
    await until(lambda: gate.running)
    assert segment.taken_bytes == taken
    body.release()
    assert segment.taken_bytes == taken  # the engine reads it
    gate.go.set()
    outputs = await answer
    np.testing.assert_array_equal(outputs["double"], [[2, 4, 6], [8, 10, 12]])
    np.testing.assert_array_equal(outputs["brightness"], [2, 6])
    assert segment.taken_bytes == 0


async def test_large_outputs_come_through_memory(both: Pair) -> None:
    _, (side,) = await started(both)
    await answers_well(runner_of(side), rows=4000)
    assert side.link.segment.taken_bytes == 0


async def test_queue_that_is_full_sheds_with_advice(both: Pair) -> None:
    engine = await both.start_engine(max_queue_rows=4)
    side = await both.start_gateway()
    await until(lambda: side.ready)
    gate, runner = engine.engines[MODEL], runner_of(side)
    gate.go.clear()
    calls = [asyncio.create_task(answers_well(runner, rows=1))]
    await until(lambda: gate.running)
    calls.append(asyncio.create_task(answers_well(runner, rows=4)))
    await until(lambda: engine.repository.runner(MODEL).queued_rows == 4)
    with pytest.raises(Overloaded, match="4 rows wait and 1 more would pass the limit of 4: retry after 1 s") as caught:
        await runner.submit(doubler_inputs(1), FOREVER_S)
    assert (caught.value.retry_after_s, caught.value.resource) == (1.0, "queue")
    gate.go.set()
    await asyncio.gather(*calls)


async def test_segment_that_is_full_sheds_at_once(both: Pair) -> None:
    engine = await both.start_engine()
    side = await both.start_gateway(segment_bytes=8192)
    await until(lambda: side.ready)
    engine.engines[MODEL].go.clear()
    runner = runner_of(side)
    calls = [asyncio.create_task(answers_well(runner, rows=1)) for _ in range(2)]
    await until(lambda: engine.engines[MODEL].running)
    with pytest.raises(Overloaded, match="8192 bytes wait for the engine") as caught:
        await runner.submit(doubler_inputs(1), FOREVER_S)
    assert caught.value.resource == "memory"
    engine.engines[MODEL].go.set()
    await asyncio.gather(*calls)
    await answers_well(runner)


async def test_a_failure_of_the_engine_keeps_its_words(both: Pair) -> None:
    _, (side,) = await started(both)
    inputs = doubler_inputs(2) | {"picture": np.zeros((3, 2), np.uint8)}
    with pytest.raises(EngineFailure, match="picture: expected 2 along B as in the others, got 3"):
        await runner_of(side).submit(inputs, FOREVER_S)
    assert side.link.segment.taken_bytes == 0
    await answers_well(runner_of(side))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": np.zeros((1, 3), np.float64)}, "x: expected dtype float32, got float64"),
        ({"x": None}, "x: expected this tensor, got only picture"),
    ],
)
async def test_tensors_that_do_not_fit_never_leave_the_gateway(
    both: Pair, change: dict[str, object], words: str
) -> None:
    _, (side,) = await started(both)
    inputs = {name: array for name, array in (doubler_inputs(1) | change).items() if array is not None}
    with pytest.raises(EngineFailure, match=words):
        runner_of(side).enqueue(inputs, FOREVER_S, lambda outcome: None)  # type: ignore[arg-type]
    assert side.link.segment.taken_bytes == 0


async def test_statistics_are_those_of_all_gateways(both: Pair) -> None:
    engine, sides = await started(both, gateways=2)
    for side in sides:
        await answers_well(runner_of(side), rows=2)
    found = await runner_of(sides[0]).read_statistics()
    own = engine.repository.runner(MODEL).statistics  # type: ignore[attr-defined]
    assert (found.rows, found.runs, found.success.count) == (4, 2, 2)
    for name in ("rows", "runs", "last_unix_ms", "success", "fail", "queue", "jobs", "batches"):
        assert getattr(found, name) == getattr(own, name)


async def test_models_are_loaded_and_unloaded_for_every_gateway(both: Pair, tmp_path: Path) -> None:
    _, sides = await started(both, gateways=2)
    before = runner_of(sides[0])
    await sides[0].mirror.unload(MODEL)
    await until(lambda: all(side.mirror.ready() == [] for side in sides))
    with pytest.raises(Unavailable, match="retry"):
        await before.submit(doubler_inputs(1), FOREVER_S)
    write_generic(tmp_path / MODEL, version="2")
    await sides[1].mirror.load(MODEL)
    for side in sides:
        await until(lambda side=side: side.mirror.ready())  # type: ignore[misc]
        assert runner_of(side).version == "2"
        await answers_well(runner_of(side))


async def test_a_model_that_is_loaded_anew_has_no_gap(both: Pair, tmp_path: Path) -> None:
    _, sides = await started(both, gateways=2)
    over = False

    async def ask_on(side: GatewaySide) -> None:
        while not over:
            await answers_well(side.mirror.runner(MODEL))

    asking = [asyncio.create_task(ask_on(side)) for side in sides for _ in range(3)]
    for version in ("2", "3"):
        write_generic(tmp_path / MODEL, version=version)
        await sides[0].mirror.load(MODEL)
    over = True
    await asyncio.gather(*asking)
    assert {side.mirror.runner(MODEL).version for side in sides} == {"3"}


async def test_what_cannot_be_loaded_is_said_as_the_engine_says_it(both: Pair, tmp_path: Path) -> None:
    _, (side,) = await started(both)
    with pytest.raises(UnknownModel, match="model: expected one of doubler, got 'tripler'") as caught:
        await side.mirror.load("tripler")
    assert (caught.value.field, caught.value.got) == ("model", "'tripler'")
    (tmp_path / MODEL / "model.onnx").write_bytes(b"changed")
    with pytest.raises(ArtifactError, match="SHA-256"):
        await side.mirror.load(MODEL)
    await answers_well(runner_of(side))


async def test_graphs_that_frames_are_answered_by_give_the_very_same_numbers(tmp_path: Path) -> None:
    write_artifact(tmp_path / "tiny")
    async with pair(tmp_path) as both:
        engine, (side,) = await started(both)
        for graph, inputs in (("encode", encode_inputs(7, frames=5, captures=2)), ("fuse", fuse_inputs(7, frames=5))):
            expected = engine.engines["tiny"].run(graph, inputs)
            found = await side.mirror.runner(f"tiny-{graph}").submit(inputs, FOREVER_S)
            assert list(found) == list(expected)
            for name, tensor in expected.items():
                assert found[name].dtype == tensor.dtype
                np.testing.assert_array_equal(found[name], tensor)
