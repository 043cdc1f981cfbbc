"""Medians over rounds, and their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, mode

from tests.bench.serving.measurements import Cell, Measurement
from tests.bench.serving.rounds import Results


@dataclass(frozen=True)
class Summary:
    """One cell of one server, medians over rounds.

    Attributes:
        share: of the frames per second of raw just before; `share_spread` is half of its range.
        errors: of all rounds together.
    """

    server: str
    cell: Cell
    rounds: int
    frames_per_s: float
    share: float
    share_spread: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    errors: int
    cpu_s_per_1000: float
    rss_mib: float
    pss_mib: float


@dataclass(frozen=True)
class RawSummary:
    """ONNX Runtime alone with one model, medians over rounds."""

    model: str
    setting: str
    frames_per_s: float
    p50_ms: float  # of one frame at a time
    cpu_s_per_1000: float
    rss_mib: float


def summarise(results: Results) -> list[Summary]:
    """A summary for each server and cell that was measured, in that order."""
    raw = {(one.round, one.server, one.model): one.best.frames_per_s for one in results.raw}
    keys = dict.fromkeys((one.server, one.cell) for one in results.measurements)
    return [_of([m for m in results.measurements if (m.server, m.cell) == key], raw) for key in keys]


def summarise_raw(results: Results) -> list[RawSummary]:
    """A summary for each model."""
    found = []
    for model in dict.fromkeys(one.model for one in results.raw):
        rounds = [one for one in results.raw if one.model == model]
        found.append(
            RawSummary(
                model,
                str(mode(one.best.setting for one in rounds)),
                median(one.best.frames_per_s for one in rounds),
                median(one.latency.p50_ms for one in rounds),
                median(one.best.cpu_s_per_1000 for one in rounds),
                median(one.best.rss_mib for one in rounds),
            )
        )
    return found


def _of(seen: Sequence[Measurement], raw: dict[tuple[int, str, str], float]) -> Summary:
    shares = [one.frames_per_s / raw[one.round, one.server, one.cell.model] for one in seen]

    return Summary(
        seen[0].server,
        seen[0].cell,
        len(seen),
        median(one.frames_per_s for one in seen),
        median(shares),
        (max(shares) - min(shares)) / 2,
        median(one.p50_ms for one in seen),
        median(one.p90_ms for one in seen),
        median(one.p99_ms for one in seen),
        sum(one.errors for one in seen),
        median(one.cpu_s_per_1000 for one in seen),
        median(one.rss_mib for one in seen),
        median(one.pss_mib for one in seen),
    )
