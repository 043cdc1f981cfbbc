"""How a graph is run on this machine: sessions, threads of each, rows of a run, found by trying.

The split of the cores matters most: on two cores, two sessions of one thread answer up to twice the frames of one
session of two threads. The best number of rows depends on the caches, and on what a run costs whatever its size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from service.engine.onnx_graph import OnnxGraph
from service.engine.protocol import Plan

ROWS = (1, 2, 4, 8, 16, 32, 64)
SPLIT_ROWS = 8  # at which the ways to share out the cores are compared
CLEARLY = 0.85  # more sessions are taken unless fewer answer this clearly more: threads of one run wait for each other,
# and under load one of them waits for the core that the gateway itself uses
WINDOWS, WINDOW_S = 3, 0.025  # of one measurement: the best of them, for whatever else runs here only slows it
DISPATCH_S = 0.0001  # what a run costs outside of the engine: tensors put together, a thread woken, answers handed out
LONGEST_RUN_S = 0.25  # a run that takes longer ends the search: who waits for one more frame waits for such a run
ENOUGH = 0.97  # of the best rate: fewer rows for the rest, as who comes next waits less
GAIN = 1.03  # of twice the rows over the best rate so far; two times without it end the search, for more rows take
# longest to try, and what they are tried with stays in memory


def splits(cores: int) -> list[tuple[int, int]]:
    """Ways to share out the cores: sessions, and threads of each."""
    threads = [1 << power for power in range(cores.bit_length())]
    return [(cores // count, count) for count in threads if count <= cores]


def tune(
    open_graph: Callable[[int, int], OnnxGraph],
    cores: int,
    rate: Callable[[OnnxGraph, int], float] | None = None,
) -> tuple[OnnxGraph, Plan]:
    """Open a graph in the way that answers most rows a second.

    Args:
        open_graph: opens it with so many sessions of so many threads.
        cores: to share out.
        rate: rows a second of a graph with so many rows a run; by default as measured.
    """
    rate = rate or rows_per_s
    opened = [(sessions, threads, open_graph(sessions, threads)) for sessions, threads in splits(cores)]
    answered = [rate(graph, SPLIT_ROWS) for _, _, graph in opened] if len(opened) > 1 else [1.0]
    clearly = max(answered) * CLEARLY
    sessions, threads, graph = next(
        o for o, rows_a_second in zip(opened, answered, strict=True) if rows_a_second >= clearly
    )
    rates: dict[int, float] = {}
    best_rate, without_gain = 0.0, 0
    for rows in ROWS:
        rates[rows] = rate(graph, rows)
        without_gain = 0 if rates[rows] >= GAIN * best_rate else without_gain + 1
        best_rate = max(best_rate, rates[rows])
        if without_gain == 2 or sessions * rows / rates[rows] > LONGEST_RUN_S:
            break
    enough = ENOUGH * best_rate
    best = next(rows for rows, rows_a_second in rates.items() if rows_a_second >= enough)
    return graph, Plan(sessions, threads, best, rates)


def rows_per_s(graph: OnnxGraph, rows: int, window_s: float = WINDOW_S) -> float:
    """Rows a second of a graph that runs at all of its sessions at once, with what it takes to get there and back."""
    inputs = graph.blank(dict.fromkeys(graph.free, rows))

    def run_until(end_s: float) -> int:
        runs = 0
        while not runs or time.perf_counter() < end_s:
            graph.run(inputs)
            runs += 1
        return runs

    def run_s(threads: ThreadPoolExecutor, window_s: float) -> float:
        started_s = time.perf_counter()
        runs = sum(threads.map(run_until, [started_s + window_s] * graph.concurrency))
        return (time.perf_counter() - started_s) * graph.concurrency / runs

    with ThreadPoolExecutor(graph.concurrency) as threads:
        run_s(threads, 0.0)  # untimed: memory, caches
        fastest_s = min(run_s(threads, window_s) for _ in range(WINDOWS))
    return graph.concurrency * rows / (fastest_s + DISPATCH_S)
