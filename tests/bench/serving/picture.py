"""The figures as a picture: what each server leaves of the machine, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.serving.measurements import Cell, large_requests
from tests.bench.serving.server import Server
from tests.bench.serving.summary import RawSummary, Summary
from tests.bench.serving.table import central

_OURS, _PEER, _INK, _FAINT = "#c2410c", "#64748b", "#1f2937", "#e2e8f0"
_MARKERS = ("v", "s", "o", "D", "^", "P")  # of the cells, by clients
_ROW_INCH = 0.55
_SPREAD = 0.5  # between the first and the last dot of a row


def draw(path: Path, servers: Sequence[Server], raw: Sequence[RawSummary], found: Sequence[Summary], note: str) -> None:
    """Write a PNG. `note` says on what the figures were measured."""
    bench = [one for one in found if one.cell.model == "bench"]
    singles = sorted({one.cell for one in bench if one.cell.frames == 1}, key=lambda cell: cell.clients)
    middle = {one.server: one for one in bench if one.cell == central(singles)}
    shown = sorted((s for s in servers if s.name in middle), key=lambda s: middle[s.name].share)
    loads = [*(cell for cell in singles if cell.clients > 1), large_requests()]
    with mpl.rc_context({"font.size": 10, "text.color": _INK, "axes.labelcolor": _INK, "axes.titlesize": 11}):
        figure = Figure(figsize=(12, 2.1 + _ROW_INCH * len(shown)), layout="constrained")
        shares, costs = figure.subplots(1, 2, sharey=True, width_ratios=(1.7, 1))
        _draw_shares(shares, shown, bench, loads)
        _draw_costs(costs, shown, middle, next(one for one in raw if one.model == "bench").cpu_s_per_1000)
        costs.set_title(f"CPU s per 1,000 frames, {central(singles).clients} clients", loc="left")
        figure.legend(*shares.get_legend_handles_labels(), loc="outside upper left", ncols=len(loads), frameon=False)
        figure.supxlabel(note, fontsize=8, color=_PEER, x=0.01, ha="left")
        figure.savefig(path, dpi=150)


def _draw_shares(axes: Axes, shown: Sequence[Server], bench: Sequence[Summary], loads: Sequence[Cell]) -> None:
    """A dot for each load, one below the other; where rounds differed, a line as long as they did."""
    by_key = {(one.server, one.cell): one for one in bench}
    step = _SPREAD / max(1, len(loads) - 1)
    for index, cell in enumerate(loads):
        single = cell.frames == 1
        for row, server in enumerate(shown):
            if one := by_key.get((server.name, cell)):
                at, colour = row + _SPREAD / 2 - step * index, _OURS if server.ours else _PEER
                axes.errorbar(one.share, at, xerr=one.share_spread, color=colour, lw=1, zorder=2)
                axes.plot(
                    one.share, at, _MARKERS[index], color=colour, mfc=colour if single else "white", ms=6, zorder=3
                )
        text = f"{cell.clients} clients" if single else f"{cell.clients} clients, {cell.frames} frames a request"
        axes.plot([], [], _MARKERS[index], color=_INK, mfc=_INK if single else "white", ms=6, label=text)
    axes.set_yticks(range(len(shown)), [server.title for server in shown])
    for label, server in zip(axes.get_yticklabels(), shown, strict=True):
        label.set(color=_OURS if server.ours else _INK, fontweight="bold" if server.ours else "normal")
    axes.set_xlim(0, max(1.1, axes.get_xlim()[1]))
    axes.set_title("Frames per second, as share of ONNX Runtime alone", loc="left")
    _mark(axes, 1, len(shown))


def _draw_costs(axes: Axes, shown: Sequence[Server], middle: dict[str, Summary], raw: float) -> None:
    values = [middle[server.name].cpu_s_per_1000 for server in shown]
    bars = axes.barh(range(len(shown)), values, 0.5, color=[_OURS if s.ours else _PEER for s in shown], zorder=2)
    axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=4)
    axes.set_xlim(0, 1.18 * max([*values, raw]))
    _mark(axes, raw, len(shown))


def _mark(axes: Axes, alone: float, rows: int) -> None:
    """A line where ONNX Runtime alone is, a grid, and nothing that is not needed."""
    axes.axvline(alone, color=_INK, lw=1, ls="--", zorder=4)
    side = "right" if alone > 0.3 * axes.get_xlim()[1] else "left"  # where there is room
    axes.text(alone, -0.78, f" alone: {alone:.2f} ", va="center", ha=side, fontsize=9)
    axes.set_ylim(-1, rows - 0.4)
    axes.grid(axis="x", color=_FAINT, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
