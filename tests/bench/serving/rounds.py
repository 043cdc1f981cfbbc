"""Rounds: in each, every server in turn, and before each of them ONNX Runtime alone.

So whatever else the machine does, which may halve its speed from one minute to the next, hits both alike.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.bench.serving import raw
from tests.bench.serving.artifact import MODEL
from tests.bench.serving.measurements import Cell, Failure, Measurement
from tests.bench.serving.search import RawSettings, Tried, best_raw, best_setting
from tests.bench.serving.server import Server, Setting
from tests.bench.serving.turn import Bench, take_turn


@dataclass(frozen=True)
class RawRound:
    """ONNX Runtime alone, just before a server's turn: its best, and how long it takes for one frame at the least."""

    round: int
    server: str
    model: str
    best: raw.RawResult
    latency: raw.RawResult


@dataclass
class Results:
    """All that was seen."""

    raw_tried: dict[str, list[raw.RawResult]] = field(default_factory=dict)  # by model
    tried: list[Tried] = field(default_factory=list)
    settings: dict[str, Setting] = field(default_factory=dict)  # the chosen one of each server
    raw: list[RawRound] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def run(
    bench: Bench,
    servers: Sequence[Server],
    cells: Sequence[Cell],
    rounds: int,
    all_settings: bool,
    known: Mapping[str, Setting],
) -> Results:
    """Search, then measure; a server that fails once is left out from then on, and said to have failed.

    Args:
        all_settings: whether to try all settings of each server but those of which the best is `known`.
    """
    results = Results(settings=dict(known))
    chosen = _search_raw(bench, results)
    left = [s for s in servers if _attempt(results, s, partial(_search, bench, s, results, all_settings))]
    for number in range(1, rounds + 1):
        turn = (number - 1) % max(1, len(left))
        for server in left[turn:] + left[:turn]:  # nobody is always the first
            _say(f"round {number}: {server.name}")
            results.raw += [_raw_round(bench, number, server, *each) for each in chosen.items()]
            if not _attempt(results, server, partial(_measure, bench, server, results, number, cells)):
                left = [other for other in left if other is not server]
    return results


def _search_raw(bench: Bench, results: Results) -> dict[str, RawSettings]:
    chosen = {}
    for model, artifact in bench.artifacts.items():
        chosen[model], results.raw_tried[model] = best_raw(artifact, bench.provider, bench.instances, bench.warm_s)
        _say(f"raw, {model}: {chosen[model].throughput}")
    return chosen


def _search(bench: Bench, server: Server, results: Results, all_settings: bool) -> None:
    server.wire.require()
    if server.name in results.settings:
        return
    results.settings[server.name] = server.settings[0]
    if all_settings and len(server.settings) > 1:
        results.settings[server.name], tried = best_setting(bench, server)
        results.tried += tried
        _say(f"{server.name}: {dict(results.settings[server.name])}")


def _raw_round(bench: Bench, number: int, server: Server, model: str, settings: RawSettings) -> RawRound:
    file = bench.artifacts[model] / MODEL
    found = [raw.measure(file, setting, bench.provider, bench.seconds) for setting in settings.throughput]
    latency = raw.measure(file, settings.latency, bench.provider, bench.seconds)
    return RawRound(number, server.name, model, max(found, key=lambda result: result.frames_per_s), latency)


def _measure(bench: Bench, server: Server, results: Results, number: int, cells: Sequence[Cell]) -> None:
    for model in dict.fromkeys(cell.model for cell in cells):
        of_model = [cell for cell in cells if cell.model == model]
        results.measurements += take_turn(bench, server, results.settings[server.name], number, of_model)


def _attempt(results: Results, server: Server, work: Callable[[], None]) -> bool:
    try:
        work()
    except (OSError, RuntimeError, ValueError) as error:
        results.failures.append(Failure(server.name, str(error)))
        _say(f"{server.name} is left out: {error}")
        return False
    return True


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
