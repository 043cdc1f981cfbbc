"""How a graph is run on this machine: sessions, threads of each, rows of a run, found by trying.

The split of the cores matters most: on two cores, two sessions of one thread answer up to twice the frames of one
session of two threads. The best number of rows depends on the caches, and on what a run costs whatever its size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median

from service.engine.onnx_graph import OnnxGraph
from service.engine.protocol import Plan

ROWS = (1, 2, 4, 8, 16, 32, 64)
SPLIT_ROWS = 8  # at which the ways to share out the cores are compared
SPLIT_ROUNDS = 4  # in which they take turns: what else runs here slows one of them as much as another
CLEARLY = 0.85  # more sessions are taken unless in every round fewer answer this clearly more: threads of one run wait
# for each other, and under load one of them waits for the core that the gateway itself uses
WINDOWS, WINDOW_S = 2, 0.025  # of one measurement: the best of them, for whatever else runs here only slows it
DISPATCH_S = 0.0001  # what a run costs outside of the engine: tensors put together, a thread woken, answers handed out
LONG_ENOUGH_S = 0.006  # of a run: what shorter ones cost outside is not seen here, where nothing else uses the caches.
# Behind the gateway's event loop it was 0.2 to 0.4 ms of processor time a run (tests/bench/PROFILE.md)
LONGEST_RUN_S = 0.25  # a run that takes longer ends the search: who waits for one more frame waits for such a run
SOONER = 0.9  # of the time that a row alone takes on one session: worth a session of all cores beside the others
LONE_RUNS = 30
ENOUGH = 0.97  # of the best rate: fewer rows for the rest, as who comes next waits less
GAIN = 1.03  # of twice the rows over the best rate so far; two times without it end the search once runs are long
# enough, for more rows take longest to try, and what they are tried with stays in memory

Rate = Callable[[OnnxGraph, int], float]
"""Rows a second of a graph with so many rows a run."""


def splits(cores: int) -> list[tuple[int, int]]:
    """Ways to share out the cores: sessions, and threads of each."""
    threads = [1 << power for power in range(cores.bit_length())]
    return [(cores // count, count) for count in threads if count <= cores]


def tune(
    open_graph: Callable[[int, int], OnnxGraph],
    cores: int,
    rate: Rate | None = None,
    one_row_s: Callable[[OnnxGraph], float] | None = None,
) -> tuple[OnnxGraph, Plan]:
    """Open a graph in the way that answers most rows a second; a row that is alone may be given more threads.

    Args:
        open_graph: opens it with so many sessions of so many threads.
        cores: to share out.
        rate: by default as measured.
        one_row_s: seconds of a run of one row that is alone; by default as measured.
    """
    opened = [(sessions, threads, open_graph(sessions, threads)) for sessions, threads in splits(cores)]
    best = _best_split([graph for *_, graph in opened], rate or partial(rows_per_s, windows=1))
    sessions, threads, graph = opened[best]
    # The time of the processor is the same whoever else uses it, but says nothing of threads that wait for each other.
    rates = _rates(
        graph, sessions, rate or partial(rows_per_s, clock=time.perf_counter if threads > 1 else time.thread_time)
    )
    rows = _best_rows(rates, sessions)
    _, most_threads, widest = opened[-1]
    sooner = most_threads > threads and (one_row_s or lone_run_s)(widest) < SOONER * (one_row_s or lone_run_s)(graph)
    return graph, Plan(sessions, threads, rows, rates, most_threads if sooner else threads)


def rows_per_s(
    graph: OnnxGraph,
    rows: int,
    clock: Callable[[], float] = time.perf_counter,
    windows: int = WINDOWS,
    window_s: float = WINDOW_S,
) -> float:
    """Rows a second of a graph that runs at all of its sessions at once, with what it takes to get there and back.

    Args:
        graph: to measure.
        rows: of a run.
        clock: seconds, read in the thread that runs.
        windows: measurements, of which the best counts.
        window_s: seconds of each.
    """
    inputs = graph.blank(dict.fromkeys(graph.free, rows))

    def run_s(end_s: float) -> float:
        runs, started_s = 0, clock()
        while not runs or time.perf_counter() < end_s:
            graph.run(inputs)
            runs += 1
        return (clock() - started_s) / runs

    def mean_run_s(threads: ThreadPoolExecutor, window_s: float) -> float:
        end_s = time.perf_counter() + window_s
        return sum(threads.map(run_s, [end_s] * graph.concurrency)) / graph.concurrency

    with ThreadPoolExecutor(graph.concurrency) as threads:
        mean_run_s(threads, 0.0)  # untimed: memory, caches
        fastest_s = min(mean_run_s(threads, window_s) for _ in range(windows))
    return graph.concurrency * rows / (fastest_s + DISPATCH_S)


def lone_run_s(graph: OnnxGraph) -> float:
    """Seconds that a run of one row takes while nothing else runs: the median of some."""
    inputs = graph.blank(dict.fromkeys(graph.free, 1))
    times_s = []
    for _ in range(LONE_RUNS + 1):
        started_s = time.perf_counter()
        graph.run(inputs)
        times_s.append(time.perf_counter() - started_s)
    return median(times_s[1:])  # the first is of memory and caches


def _best_split(graphs: list[OnnxGraph], rate: Rate) -> int:
    """The first that no other answers clearly more than in every round."""
    if len(graphs) == 1:
        return 0
    rounds = [[rate(graph, SPLIT_ROWS) for graph in graphs] for _ in range(SPLIT_ROUNDS)]

    def beaten(this: int) -> bool:
        return any(all(each[other] * CLEARLY > each[this] for each in rounds) for other in range(len(graphs)))

    return next(this for this in range(len(graphs)) if not beaten(this))


def _best_rows(rates: dict[int, float], sessions: int) -> int:
    """The fewest whose rate is near the best; if their runs are short, more, unless those are clearly slower."""
    best = max(rates.values())
    fewest = next(rows for rows, rate in rates.items() if rate >= ENOUGH * best)
    more = (rows for rows, rate in rates.items() if rows >= fewest and rate >= CLEARLY * best)
    return next((rows for rows in more if sessions * rows >= LONG_ENOUGH_S * rates[rows]), fewest)


def _rates(graph: OnnxGraph, sessions: int, rate: Rate) -> dict[int, float]:
    """Rates by rows, until more of them gain nothing or take too long."""
    rates: dict[int, float] = {}
    best, without_gain = 0.0, 0
    for rows in ROWS:
        rates[rows] = found = rate(graph, rows)
        without_gain = 0 if found >= GAIN * best else without_gain + 1
        best = max(best, found)
        run_s = sessions * rows / found
        if (without_gain >= 2 and run_s >= LONG_ENOUGH_S) or run_s > LONGEST_RUN_S:
            break
    return rates
