"""The picture of a whole set: where its UEs were, who saw the mast, and how much power arrived."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from models.data.raytraced.channel import CLEAR
from models.data.raytraced.frontend import TX_POWER_DBM
from models.data.raytraced.layouts import Layout
from models.data.showing.frames import PARTS, Frames, counts
from models.data.showing.look import (
    BLOCKER_COLOURS,
    BLOCKER_NAMES,
    GREY,
    INK,
    LEFT_IN,
    PART_COLOURS,
    WEAK_TO_STRONG,
    Bounds,
    Heights,
    chart,
    draw_map,
    map_height_in,
    new_figure,
    place,
    roof_marks,
    save,
    scale_bar,
    sector_bounds,
    title,
)  # fmt: skip
from service.normalizers.cues import SPEED_OF_LIGHT_MPS

GRID_M = 5.0
_FEWEST = 5  # frames in a cell that is drawn
_BELOW_NOISE_DB = 20.0  # how far below the noise the colours of the power reach
_PANEL_IN, _RIGHT_IN, _TOP_IN, _GAP_IN, _CHART_IN = 7.6, 9.6, 1.35, 1.0, 3.1


def draw_coverage(path: Path, frames: Frames, layout: Layout, heights: Heights | None) -> dict[str, object]:
    """Write the picture as a PNG; returns what was written and the counts of the set."""
    figures = counts(frames)
    map_in = map_height_in(layout, _PANEL_IN)
    second_in = _TOP_IN + map_in + _GAP_IN
    charts_in = second_in + map_in + _GAP_IN + 0.15
    figure = new_figure(charts_in + _CHART_IN + 0.75, _title(frames, layout), _line(frames))
    places = ((LEFT_IN, _TOP_IN), (_RIGHT_IN, _TOP_IN), (LEFT_IN, second_in))
    where, sight, power = (place(figure, *corner, _PANEL_IN, map_in) for corner in places)
    for axes in (where, sight, power):
        draw_map(axes, layout, heights)
    _draw_parts(where, frames, heights)
    _draw_sight(sight, frames, sector_bounds(layout))
    _draw_power(power, frames, sector_bounds(layout))
    scatter_in = _RIGHT_IN + 0.45  # clear of the label of the colours to its left
    _draw_power_by_range(place(figure, scatter_in, second_in, _RIGHT_IN + _PANEL_IN - scatter_in, map_in), frames)
    width_in, step_in = 5.0, 5.75
    left, middle, right = (place(figure, LEFT_IN + 0.1 + i * step_in, charts_in, width_in, _CHART_IN) for i in range(3))
    _draw_ranges(left, frames)
    _draw_blockers(middle, frames)
    _draw_episodes(right, frames)
    return {"path": str(path), "bytes": save(figure, path), **figures}


def cells(
    position_m: NDArray[np.floating], value: NDArray[np.floating], bounds: Bounds, statistic: str
) -> NDArray[np.float64]:
    """Mean or median of the values in each cell of `GRID_M`, `[rows, columns]`; nan where they are too few.

    Args:
        position_m: `[N, 2 or 3]` ENU.
        value: `[N]`.
        bounds: of the grid; its south-west corner is the corner of the first cell.
        statistic: `"mean"` or `"median"`.
    """
    west, east, south, north = bounds
    columns, rows = int(np.ceil((east - west) / GRID_M)), int(np.ceil((north - south) / GRID_M))
    column, row = ((position_m[:, :2] - [west, south]) // GRID_M).astype(int).T
    cell = row * columns + column
    order = np.argsort(cell, kind="stable")
    found, first = np.unique(cell[order], return_index=True)
    grid = np.full(rows * columns, np.nan)
    for index, members in zip(found, np.split(value[order], first[1:]), strict=True):
        if len(members) >= _FEWEST:
            grid[index] = getattr(np, statistic)(members)
    return grid.reshape(rows, columns)


def _title(frames: Frames, layout: Layout) -> str:
    return (
        f"Site {layout.site.name}: {len(frames.present)} episodes, {frames.snapshots:,} snapshots, "
        f"{len(frames.blocker):,} frames of a UE"
    )


def _line(frames: Frames) -> str:
    total = len(frames.blocker)
    blocked = np.bincount(frames.blocker, minlength=len(BLOCKER_NAMES))
    shares = [f"{name} {100 * count / total:.1f} %" for name, count in zip(BLOCKER_NAMES, blocked, strict=True)]
    parts = [f"{name} {int((frames.part == index).sum()):,}" for index, name in enumerate(PARTS)]
    outages = int(frames.outage.sum())
    return "   ·   ".join([", ".join(parts) + " frames", *shares, f"outages {outages} ({100 * outages / total:.2f} %)"])


def _draw_parts(axes: Axes, frames: Frames, heights: Heights | None) -> None:
    mixed = np.random.default_rng(0).permutation(len(frames.part))  # else the last part would cover the others
    colours = np.array([PART_COLOURS[name] for name in PARTS])
    axes.scatter(*frames.position_m[mixed, :2].T, s=2.0, c=colours[frames.part[mixed]], linewidths=0, zorder=3)
    marks: list[object] = [
        Line2D([], [], linestyle="", marker="o", markersize=6, color=PART_COLOURS[name],
               label=f"{name}, {len(np.unique(frames.episode[frames.part == i]))} episodes")
        for i, name in enumerate(PARTS)
    ]  # fmt: skip
    axes.legend(
        handles=[*marks, *roof_marks(heights)], loc="lower left", fontsize=8.5, framealpha=0.92, edgecolor="none",
        labelcolor=INK,
    ).set_zorder(10)  # fmt: skip
    title(axes, "Where the UEs were", "a dot a frame; the parts are whole episodes on the same streets")


def _draw_sight(axes: Axes, frames: Frames, bounds: Bounds) -> None:
    share = 100 * cells(frames.position_m, (frames.blocker == CLEAR).astype(float), bounds, "mean")
    _draw_cells(axes, share, bounds, Normalize(0, 100), "frames with line of sight, %", "neither")
    title(axes, "Line of sight", f"share of the frames in {GRID_M:g} m cells of at least {_FEWEST} frames")


def _draw_power(axes: Axes, frames: Frames, bounds: Bounds) -> None:
    power = cells(frames.position_m, frames.power_dbm, bounds, "median")
    span = Normalize(frames.noise_dbm - _BELOW_NOISE_DB, float(np.ceil(np.nanmax(power))))
    bar = _draw_cells(axes, power, bounds, span, "received power per antenna element, dBm", "min")
    bar.ax.axhline(frames.noise_dbm, color="white", linewidth=1.6)
    title(
        axes,
        "Received power",
        f"median in {GRID_M:g} m cells, {TX_POWER_DBM:g} dBm sent; white line: noise, {frames.noise_dbm:.0f} dBm",
    )


def _draw_cells(
    axes: Axes, grid: NDArray[np.float64], bounds: Bounds, span: Normalize, label: str, extend: str
) -> Colorbar:
    west, _, south, _ = bounds
    rows, columns = grid.shape
    x, y = west + GRID_M * np.arange(columns + 1), south + GRID_M * np.arange(rows + 1)
    view = axes.get_xlim(), axes.get_ylim()
    axes.pcolormesh(x, y, np.ma.masked_invalid(np.clip(grid, -1e9, None)), cmap=WEAK_TO_STRONG, norm=span, zorder=3)
    axes.set(xlim=view[0], ylim=view[1])
    return scale_bar(axes, WEAK_TO_STRONG, span, label, extend)


def _draw_power_by_range(axes: Axes, frames: Frames) -> None:
    chart(axes)
    range_m = frames.range_m
    heard = ~frames.outage
    for blocker in np.argsort(-np.bincount(frames.blocker, minlength=len(BLOCKER_NAMES))):  # the rare ones on top
        chosen = heard & (frames.blocker == blocker)
        axes.scatter(
            range_m[chosen], frames.power_dbm[chosen], s=2.2, color=BLOCKER_COLOURS[blocker], linewidths=0, alpha=0.7,
            label=BLOCKER_NAMES[blocker],
        )  # fmt: skip
    assert frames.site.carrier_hz
    line_m = np.linspace(range_m.min(), range_m.max(), 200)
    free_dbm = TX_POWER_DBM - 20 * np.log10(4 * np.pi * line_m * frames.site.carrier_hz / SPEED_OF_LIGHT_MPS)
    axes.plot(line_m, free_dbm, color=INK, linewidth=1.4, label="free space, isotropic antennas")
    axes.axhline(frames.noise_dbm, color=INK, linewidth=1.1, linestyle=(0, (4, 3)), label="noise over the band")
    lowest = frames.noise_dbm - 3 * _BELOW_NOISE_DB
    axes.set_ylim(lowest, float(frames.power_dbm.max()) + 4)
    axes.set_xlabel("slant range from the array, m", color=GREY)
    axes.set_ylabel("received power per antenna element, dBm", color=GREY)
    axes.legend(fontsize=8.5, frameon=False, loc="lower left", labelcolor=INK, markerscale=4)
    weaker = int((heard & (frames.power_dbm < lowest)).sum())
    title(
        axes,
        "Received power against range",
        f"a dot a frame; {weaker} weaker ones and {int(frames.outage.sum())} outages are not shown",
    )


def _draw_ranges(axes: Axes, frames: Frames) -> None:
    chart(axes)
    range_m = frames.range_m
    edges = np.arange(GRID_M * (range_m.min() // GRID_M), range_m.max() + GRID_M, GRID_M)
    stacks = [range_m[frames.blocker == blocker] for blocker in range(len(BLOCKER_NAMES))]
    axes.hist(stacks, edges, stacked=True, color=BLOCKER_COLOURS, label=BLOCKER_NAMES, rwidth=0.9)
    axes.set_xlabel("slant range from the array, m", color=GREY)
    axes.set_ylabel("frames", color=GREY)
    axes.legend(fontsize=8.5, frameon=False, loc="upper right", labelcolor=INK)
    title(axes, "Frames by range", f"median {np.median(range_m):.0f} m")


def _draw_blockers(axes: Axes, frames: Frames) -> None:
    chart(axes)
    width = 0.8 / len(PARTS)
    for index, name in enumerate(PARTS):
        blocked = np.bincount(frames.blocker[frames.part == index], minlength=len(BLOCKER_NAMES))
        where = np.arange(len(BLOCKER_NAMES)) + (index - (len(PARTS) - 1) / 2) * width
        bars = axes.bar(
            where, 100 * blocked / max(1, blocked.sum()), 0.92 * width, color=PART_COLOURS[name], label=name
        )
        axes.bar_label(bars, [str(count) for count in blocked], fontsize=7.5, color=GREY, padding=2)
    axes.set_xticks(range(len(BLOCKER_NAMES)), [name.replace("blocked by", "blocked by\n") for name in BLOCKER_NAMES])
    axes.set_ylabel("frames of the part, %", color=GREY)
    axes.legend(fontsize=8.5, frameon=False, loc="upper right", labelcolor=INK)
    title(axes, "What blocks the direct path", "over the bars: frames")


def _draw_episodes(axes: Axes, frames: Frames) -> None:
    """How much the episodes differ: the share of frames with line of sight in each."""
    chart(axes)
    numbers, which = np.unique(frames.episode, return_inverse=True)
    share = 100 * np.bincount(which, frames.blocker == CLEAR) / np.bincount(which)
    part = frames.part[np.unique(which, return_index=True)[1]]
    edges = np.linspace(0, 100, 21)
    stacks = [share[part == index] for index in range(len(PARTS))]
    axes.hist(stacks, edges, stacked=True, color=[PART_COLOURS[name] for name in PARTS], label=PARTS, rwidth=0.9)
    axes.set_xlim(max(0.0, 5 * (share.min() // 5) - 5), 100)
    axes.set_xlabel("frames of the episode with line of sight, %", color=GREY)
    axes.set_ylabel("episodes", color=GREY)
    axes.legend(fontsize=8.5, frameon=False, loc="upper left", labelcolor=INK)
    title(axes, "Episodes by line of sight", f"{len(numbers)} episodes")
