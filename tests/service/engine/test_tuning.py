from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest

from service.engine.onnx_engine import OnnxEngine
from service.engine.onnx_graph import OnnxGraph
from service.engine.protocol import Inputs, Outputs
from service.engine.tuning import lone_run_s, rows_per_s, splits, tune
from tests.service.engine.generic import write_generic


class Sleeper:
    """A graph whose run takes a known time, however many run at once."""

    free = frozenset({"B"})

    def __init__(self, sessions: int, run_s: float) -> None:
        self.concurrency = sessions
        self._run_s = run_s

    def blank(self, sizes: dict[str, int]) -> Inputs:
        return {"x": np.zeros(sizes["B"])}

    def run(self, inputs: Inputs) -> Outputs:
        time.sleep(self._run_s)
        return {}


def opener(sessions: int, threads: int) -> OnnxGraph:
    return (sessions, threads)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, [(1, 1)]),
        (2, [(2, 1), (1, 2)]),
        (6, [(6, 1), (3, 2), (1, 4)]),
        (8, [(8, 1), (4, 2), (2, 4), (1, 8)]),
    ],
)
def test_the_cores_are_shared_out_in_every_way_that_uses_powers_of_two(
    cores: int, expected: list[tuple[int, int]]
) -> None:
    assert splits(cores) == expected


def alike(graph: OnnxGraph) -> float:
    """Seconds of a row alone: more threads do not help."""
    return 1.0


@pytest.mark.parametrize("fastest", [(4, 1), (2, 2), (1, 4)])
def test_the_split_that_answers_most_rows_wins(fastest: tuple[int, int]) -> None:
    plan = tune(opener, 4, lambda graph, rows: 200.0 if graph == fastest else 100.0, alike)[1]
    assert (plan.sessions, plan.threads) == fastest


def test_more_sessions_are_taken_where_fewer_answer_hardly_more() -> None:
    plan = tune(opener, 4, lambda graph, rows: {(4, 1): 90.0, (2, 2): 100.0, (1, 4): 50.0}[graph], alike)[1]  # type: ignore[index]
    assert (plan.sessions, plan.threads) == (4, 1)


def test_a_split_has_to_be_faster_in_every_round_for_other_load_may_fall_on_any() -> None:
    rounds = itertools.count()

    def rate(graph: OnnxGraph, rows: int) -> float:
        first_is_disturbed = next(rounds) % 6 == 0  # of three rounds
        return {(2, 1): 20.0 if first_is_disturbed else 100.0, (1, 2): 60.0}[graph]  # type: ignore[index]

    plan = tune(opener, 2, rate, alike)[1]
    assert (plan.sessions, plan.threads) == (2, 1)


@pytest.mark.parametrize(
    ("rates", "rows"),
    [
        ({1: 600, 2: 900, 4: 1150, 8: 1210, 16: 1240, 32: 1234}, 8),  # within 3 % of the best
        ({1: 150, 2: 149, 4: 148}, 1),  # twice no gain: more are not tried
        ({1: 1000, 2: 990, 4: 980, 8: 970}, 8),  # the first that take 6 ms: shorter runs are mostly on their way
        ({1: 1000, 2: 1000, 4: 900, 8: 840}, 1),  # which are clearly slower
        ({1: 2000, 2: 1500, 4: 1750, 8: 1790, 16: 1780}, 16),  # the machine was faster for a moment
        ({1: 100, 2: 200, 4: 400, 8: 800, 16: 1600, 32: 3200, 64: 6400}, 64),
        ({1: 20, 2: 21, 4: 22, 8: 23}, 8),  # which take 0.35 s: more are not tried
    ],
)
def test_rows_end_where_more_of_them_gain_nothing(rates: dict[int, float], rows: int) -> None:
    plan = tune(opener, 1, lambda graph, rows: rates[rows])[1]
    assert (plan.rows, plan.rates) == (rows, rates)


def test_a_rate_counts_the_rows_of_all_sessions() -> None:
    for sessions in (1, 3):
        rate = rows_per_s(Sleeper(sessions, 0.02), rows=5, window_s=0.1)  # type: ignore[arg-type]
        assert 0.3 < rate / (sessions * 5 / 0.02) < 1.05


def test_the_time_of_a_processor_does_not_count_what_others_take() -> None:
    waiting = Sleeper(1, 0.02)
    by_wall, by_processor = (
        rows_per_s(waiting, rows=1, clock=clock, window_s=0.05)  # type: ignore[arg-type]
        for clock in (time.perf_counter, time.thread_time)
    )
    assert by_processor > 10 * by_wall


def test_an_engine_finds_its_plan_while_it_warms_up_unless_it_is_given(tmp_path: Path) -> None:
    write_generic(tmp_path)
    free, given = OnnxEngine.load(tmp_path, cores=2), OnnxEngine.load(tmp_path, cores=2, sessions=2)
    assert not free.plan("model").rates
    free.warm_up()
    given.warm_up()
    assert free.plan("model").rates
    assert not given.plan("model").rates
    assert (given.plan("model").sessions, given.plan("model").threads) == (2, 1)


@pytest.mark.parametrize(("one_row_s", "threads"), [({(2, 1): 1.0, (1, 2): 0.8}, 2), ({(2, 1): 1.0, (1, 2): 0.95}, 1)])
def test_a_row_alone_is_given_more_threads_where_that_is_worth_it(
    one_row_s: dict[tuple[int, int], float], threads: int
) -> None:
    plan = tune(opener, 2, lambda graph, rows: 100.0, lambda graph: one_row_s[graph])[1]  # type: ignore[index]
    assert (plan.sessions, plan.threads, plan.lone_threads) == (2, 1, threads)


def test_the_time_of_a_row_alone_is_measured() -> None:
    assert 0.002 <= lone_run_s(Sleeper(1, 0.002)) < 0.1  # type: ignore[arg-type]
