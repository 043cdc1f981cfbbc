from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import (
    DeadlineExceeded,
    NotReady,
    Overloaded,
    ShuttingDown,
)
from service.remote.messages import Served, ServedArtifact, ServedGraph
from tests.service.engine.generic import doubler_inputs, write_generic
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
    write_and_load,
)


async def test_one_that_is_cancelled_in_the_queue_is_never_run(both: Pair) -> None:
    engine, (side,) = await started(both)
    gate, runner = engine.engines[MODEL], runner_of(side)
    gate.go.clear()
    first = asyncio.create_task(answers_well(runner, rows=1))
    await until(lambda: gate.running)
    second = asyncio.create_task(answers_well(runner, rows=2))
    await until(lambda: engine.repository.runner(MODEL).queued_rows == 2)
    second.cancel()
    await until(lambda: engine.repository.runner(MODEL).queued_rows == 0)
    await until(lambda: len(side.link.segment._slots) == 1)
    assert runner.queued_rows == 1
    gate.go.set()
    await first
    assert gate.rows == [1]


async def test_memory_of_one_that_is_cancelled_stays_until_its_run_has_ended(both: Pair) -> None:
    engine, (side,) = await started(both)
    gate, runner, segment = engine.engines[MODEL], runner_of(side), side.link.segment
    gate.go.clear()
    call = asyncio.create_task(answers_well(runner))
    await until(lambda: gate.running)
    call.cancel()
    await asyncio.sleep(0.05)
    assert segment.taken_bytes > 0
    gate.go.set()
    await until(lambda: segment.taken_bytes == 0)
    await answers_well(runner)


async def test_deadline_passes_in_the_engine_and_memory_stays_until_the_run_has_ended(both: Pair) -> None:
    engine, (side,) = await started(both)
    gate, runner, segment = engine.engines[MODEL], runner_of(side), side.link.segment
    gate.go.clear()
    with pytest.raises(DeadlineExceeded, match="got none after"):
        await runner.submit(doubler_inputs(1), time.monotonic() + 0.03)
    assert segment.taken_bytes > 0
    gate.go.set()
    await until(lambda: segment.taken_bytes == 0)


async def test_a_deadline_that_has_passed_costs_the_engine_nothing(both: Pair) -> None:
    engine, (side,) = await started(both)
    with pytest.raises(DeadlineExceeded):
        await runner_of(side).submit(doubler_inputs(1), time.monotonic() - 1)
    assert engine.engines[MODEL].rows == []
    assert side.link.segment.taken_bytes == 0


async def test_engine_that_dies_fails_what_waits_and_the_next_one_serves(both: Pair) -> None:
    engine, (side,) = await started(both)
    runner, segment = runner_of(side), side.link.segment
    engine.engines[MODEL].go.clear()
    calls = [asyncio.create_task(runner.submit(doubler_inputs(1), FOREVER_S)) for _ in range(3)]
    await until(lambda: engine.engines[MODEL].running)
    await engine.die()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {NotReady}
    assert "retry in a few seconds" in str(outcomes[0])
    await until(lambda: not side.ready)
    assert segment.taken_bytes == 0
    with pytest.raises(NotReady):
        await runner.submit(doubler_inputs(1), FOREVER_S)
    await both.start_engine()
    await until(lambda: side.ready)
    assert runner_of(side) is runner
    await answers_well(runner)


async def test_gateway_that_comes_before_the_engine_is_served_once_there_is_one(both: Pair) -> None:
    side = await both.start_gateway()
    await asyncio.sleep(0.02)
    assert not side.ready
    await both.start_engine()
    await until(lambda: side.ready)
    await answers_well(runner_of(side))


async def test_gateway_that_goes_away_leaves_the_others_alone(both: Pair) -> None:
    engine, (goes, stays) = await started(both, gateways=2)
    gate = engine.engines[MODEL]
    gate.go.clear()
    calls = [asyncio.create_task(runner_of(goes).submit(doubler_inputs(1), FOREVER_S)) for _ in range(6)]
    await until(lambda: gate.running and engine.repository.runner(MODEL).queued_rows == 2)
    stayed = asyncio.create_task(answers_well(runner_of(stays)))
    await until(lambda: engine.repository.runner(MODEL).queued_rows == 4)
    await goes.mirror.close()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ShuttingDown}
    await until(lambda: engine.repository.runner(MODEL).queued_rows == 2)
    gate.go.set()
    await stayed
    assert gate.rows == [4, 2]


async def test_runner_that_is_closed_fails_what_waits(both: Pair) -> None:
    engine, (side,) = await started(both)
    runner = runner_of(side)
    engine.engines[MODEL].go.clear()
    call = asyncio.create_task(runner.submit(doubler_inputs(1), FOREVER_S))
    await until(lambda: engine.engines[MODEL].running)
    await runner.close()
    with pytest.raises(ShuttingDown):
        await call
    with pytest.raises(ShuttingDown):
        await runner.submit(doubler_inputs(1), FOREVER_S)
    engine.engines[MODEL].go.set()
    await until(lambda: side.link.segment.taken_bytes == 0)


async def test_an_engine_that_is_stuck_makes_nobody_wait_for_ever(tmp_path: Path) -> None:
    door, reception = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    side = GatewaySide(tmp_path, door)
    side.start()
    artifact = ServedArtifact(
        write_and_load(tmp_path).to_json(), ("CPU",), [], "READY", "", {"model": ServedGraph(0, 4)}
    )
    side.mirror._told(Served([artifact], ready=True))
    with pytest.raises(DeadlineExceeded):
        await side.mirror.runner(MODEL).submit(doubler_inputs(1), time.monotonic() + 0.01)
    assert side.link.segment.taken_bytes > 0  # it may read it yet
    await side.link.close()
    assert side.link.segment.taken_bytes == 0
    door.close()
    reception.close()


async def test_caller_that_fails_on_its_answer_spoils_it_for_nobody_else(both: Pair) -> None:
    _, (side,) = await started(both)
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(str(context["exception"])))

    def fails(outcome: object) -> None:
        raise RuntimeError("a defect of the caller")

    runner_of(side).enqueue(doubler_inputs(1), FOREVER_S, fails)
    await answers_well(runner_of(side))
    assert complaints == ["a defect of the caller"]
    assert side.link.segment.taken_bytes == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(1, 300), st.sampled_from(["answer", "cancel", "late"])),
        min_size=1,
        max_size=40,
    )
)
def test_every_call_is_answered_or_given_up_and_all_memory_comes_back(
    tmp_path: Path, plan: list[tuple[int, int, str]]
) -> None:
    async def run() -> None:
        write_generic(tmp_path / MODEL)
        async with pair(tmp_path) as both:
            _, sides = await started(both, gateways=2)
            calls = []
            for gateway, rows, how in plan:
                runner = runner_of(sides[gateway])
                if how == "late":
                    calls.append(asyncio.create_task(runner.submit(doubler_inputs(rows), time.monotonic() + 0.001)))
                else:
                    calls.append(asyncio.create_task(answers_well(runner, rows, seed=rows)))
                await asyncio.sleep(0)
                if how == "cancel":
                    calls[-1].cancel()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            for (_, _, how), outcome in zip(plan, outcomes, strict=True):
                allowed = {
                    "answer": Overloaded,
                    "cancel": asyncio.CancelledError,
                    "late": DeadlineExceeded | Overloaded,
                }
                assert outcome is None or how == "late" or isinstance(outcome, allowed[how])
            await until(lambda: all(side.link.segment.taken_bytes == 0 for side in sides))
            assert all(runner_of(side).queued_rows == 0 for side in sides)
            for side in sides:
                await answers_well(runner_of(side))

    asyncio.run(run())
