"""The best setting of ONNX Runtime and of each server, by trying each for a moment on the machine at hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean

from tests.bench.serving import raw
from tests.bench.serving.artifact import MODEL
from tests.bench.serving.measurements import CENTRAL_CLIENTS, Cell, large_requests
from tests.bench.serving.server import Server, Setting
from tests.bench.serving.turn import Bench, take_turn

FINALISTS = 2


@dataclass(frozen=True)
class RawSettings:
    """Of ONNX Runtime alone, for one model.

    Attributes:
        throughput: those that made the most frames a second, of which the best counts each time: nobody is to look good
            beside one that was chosen in a bad moment.
        latency: what answered one frame the soonest.
    """

    throughput: tuple[raw.Setting, ...]
    latency: raw.Setting


@dataclass(frozen=True)
class Tried:
    """A setting of a server and its frames a second, as a mean over the loads that were tried; None where it failed."""

    server: str
    setting: Setting
    frames_per_s: float | None


def best_raw(artifact: Path, provider: str, instances: int, seconds: float) -> tuple[RawSettings, list[raw.RawResult]]:
    """Try all settings; returns the best and all results."""
    found = [raw.measure(artifact / MODEL, s, provider, seconds) for s in raw.settings(instances, provider)]
    single = [result for result in found if result.setting.batch == result.setting.callers == 1]
    fastest = sorted(found, key=lambda result: -result.frames_per_s)[:FINALISTS]
    soonest = min(single, key=lambda result: result.p50_ms)
    return RawSettings(tuple(result.setting for result in fastest), soonest.setting), found


def best_setting(bench: Bench, server: Server) -> tuple[Setting, list[Tried]]:
    """Try all settings with one frame a request and with large requests; returns the best and all results.

    The best has the largest geometric mean: it may not be fast at one of them and slow at the other.

    Raises:
        RuntimeError: none works; the message says what was wrong with the last.
    """
    cells = (Cell("bench", CENTRAL_CLIENTS, 1), large_requests())
    tried, reason = [], ""
    for setting in server.settings:
        try:
            rates = [seen.frames_per_s for seen in take_turn(bench, server, setting, 0, cells)]
            tried.append(Tried(server.name, setting, geometric_mean(rates)))
        except (OSError, RuntimeError, ValueError) as error:
            tried.append(Tried(server.name, setting, None))
            reason = str(error)
    best = max(tried, key=lambda one: one.frames_per_s or 0.0)
    if best.frames_per_s is None:
        raise RuntimeError(reason)
    return best.setting, tried


def read_settings(file: Path, servers: Sequence[Server]) -> dict[str, Setting]:
    """What an earlier search found, by server; those that it did not search are left out.

    Raises:
        ValueError: the file is none of `results.json`, or has a setting that its server no longer knows.
    """
    try:
        results = json.loads(file.read_text())["results"]
        searched = {one["server"] for one in results["tried"]}
        found: dict[str, Setting] = {name: results["settings"][name] for name in searched}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: expected the results of a run with --search, got {error!r}") from error
    known = {server.name: [dict(setting) for setting in server.settings] for server in servers}
    for name in searched & known.keys():
        if found[name] not in known[name]:
            raise ValueError(f"{file}: {name} has no setting {found[name]}: search again")
    return {name: found[name] for name in searched & known.keys()}
