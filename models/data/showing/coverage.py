"""The picture of a set's sites: what the camera sees, where the UEs were, and who had line of sight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from models.data.recipe import PURPOSES
from models.data.shards import ShardSet
from models.data.showing.camera_view import draw_camera
from models.data.showing.cells import FEWEST, GRID_M, cells, draw_cells
from models.data.showing.frames import Frames, counts
from models.data.showing.instant import read_instant
from models.data.showing.look import (
    BLOCKER_COLOURS,
    BLOCKER_NAMES,
    GREY,
    INK,
    LEFT_IN,
    PURPOSE_COLOURS,
    SMALL,
    TINY,
    WEAK_TO_STRONG,
    WIDTH_IN,
    chart,
    colour_bar,
    new_figure,
    place,
    save,
    title,
)  # fmt: skip
from models.data.showing.plan import Plan, draw_plan, plan_marks, plan_of
from models.data.showing.site_rows import SiteRows

_CLEAR = 0
_SHARE = Normalize(0, 100)
_CHART_IN = 2.9


def draw_coverage(path: Path, shards: ShardSet, frames: Frames) -> dict[str, object]:
    """Write the picture as a PNG; returns what was written and the counts of the frames."""
    figures = counts(frames)
    rows = SiteRows(tuple(plan_of(shards, site) for site in frames.sites))
    charts_in = rows.bottom_in + 0.5
    what = "Sites: what the camera sees, where the UEs were, who sees the mast"
    figure = new_figure(charts_in + _CHART_IN + 0.6, what, *_lines(frames))
    _draw_legend(figure)
    rows.captions(figure, "Camera; boxes: UEs that can be seen", "Where the UEs were, a dot a frame",
                  f"Line of sight in {GRID_M:g} m cells of {FEWEST} frames and more")  # fmt: skip
    for number, plan in enumerate(rows.plans):
        rows.head(figure, number, _about(frames, number, plan))
        _draw_row(figure, rows, number, shards, frames)
    _draw_blockers(place(figure, LEFT_IN + 1.0, charts_in, 6.3, _CHART_IN), frames)
    _draw_ranges(place(figure, LEFT_IN + 8.2, charts_in, WIDTH_IN - LEFT_IN - 8.5, _CHART_IN), frames)
    return {"path": str(path), "bytes": save(figure, path), **figures}


def _lines(frames: Frames) -> list[str]:
    total = max(1, len(frames.site))
    blocked = np.bincount(frames.blocker, minlength=len(BLOCKER_NAMES))
    shares = [f"{name} {100 * count / total:.1f} %" for name, count in zip(BLOCKER_NAMES, blocked, strict=True)]
    what = f"{len(frames.episodes):,} episodes, {frames.snapshots:,} snapshots, {len(frames.site):,} frames of a UE"
    return [what, "   ·   ".join([*shares, f"no path at all {100 * float(frames.outage.mean()):.2f} %"])]


def _about(frames: Frames, site: int, plan: Plan) -> str:
    chosen, episodes = frames.site == site, frames.episodes[frames.episodes[:, 0] == site]
    clear = 100 * float((frames.blocker[chosen] == _CLEAR).mean()) if chosen.any() else 0.0
    return (
        f"{plan.site.mast_height_m:g} m mast, facing {plan.site.boresight_deg:g}° from north   ·   {len(episodes)} "
        f"episodes, {episodes[:, 2].sum():,} snapshots, {chosen.sum():,} frames, {clear:.0f} % with line of sight"
    )


def _draw_legend(figure: Figure) -> None:
    dots = [
        Line2D([], [], ls="", marker="o", ms=5, color=PURPOSE_COLOURS[name], label=f"{name} frame")
        for name in PURPOSES if name != "empty"
    ]  # fmt: skip
    figure.legend(
        handles=[*dots, *plan_marks(zones=True)], loc="upper left", ncols=6, fontsize=TINY, frameon=False,
        bbox_to_anchor=((LEFT_IN - 0.1) / WIDTH_IN, 1 - 1.24 / figure.get_figheight()), labelcolor=INK,
        handletextpad=0.4, columnspacing=1.1, borderaxespad=0,
    )  # fmt: skip


def _draw_row(figure: Figure, rows: SiteRows, number: int, shards: ShardSet, frames: Frames) -> None:
    plan, mine = rows.plans[number], frames.where(frames.site == number)
    camera = rows.panel(figure, number, 0)
    draw_camera(camera, read_instant(shards, plan.site.name, _typical_episode(shards, plan.site.name), 0))
    camera.set_anchor("NW")
    places = plan.of(mine.position_m)
    where = rows.panel(figure, number, 1)
    draw_plan(where, plan, zones=True, arcs=False)
    mixed = np.random.default_rng(0).permutation(len(places))  # else the last purpose would cover the others
    colours = np.array([PURPOSE_COLOURS[name] for name in PURPOSES])
    where.scatter(*places[mixed].T, s=1.1, c=colours[mine.purpose[mixed]], linewidths=0, zorder=3)
    sight = rows.panel(figure, number, 2)
    draw_plan(sight, plan, arcs=False)
    share = 100 * cells(places, (mine.blocker == _CLEAR).astype(float), plan.bounds, "mean")
    draw_cells(sight, share, plan.bounds, WEAK_TO_STRONG, _SHARE)
    colour_bar(sight, WEAK_TO_STRONG, _SHARE, "line of sight, %")


def _typical_episode(shards: ShardSet, site: str) -> int:
    """The first episode for the test, or the first of all."""
    purposes, built = shards.settings["purposes"][site], shards.episodes(site)
    return next((episode for episode in built if purposes[episode] == "test"), built[0])


def _draw_blockers(axes: Axes, frames: Frames) -> None:
    """Shares of what blocks the direct path, a bar a site and purpose group."""
    chart(axes)
    axes.grid(visible=False, axis="y")
    groups = [(name, frames.site == index) for index, name in enumerate(frames.sites)]
    groups += [(name, frames.purpose == PURPOSES.index(name)) for name in ("test", "region", "nlos")]
    groups = [(name, chosen) for name, chosen in groups if chosen.any()]
    places = np.arange(len(groups))[::-1]
    left = np.zeros(len(groups))
    for blocker, name in enumerate(("nothing: line of sight", "a building", "a vehicle", "a person")):
        share = np.array([100 * float((frames.blocker[chosen] == blocker).mean()) for _, chosen in groups])
        axes.barh(places, share, 0.72, left, color=BLOCKER_COLOURS[blocker], label=name)
        for place_at, low, width in zip(places, left, share, strict=True):
            if width >= 5:
                middle = {"fontsize": 7.5, "color": "white", "ha": "center", "va": "center"}
                axes.text(low + width / 2, place_at, f"{width:.0f}", **middle)
        left += share
    axes.set_yticks(places, [name for name, _ in groups])
    axes.set_xlim(0, 100)
    axes.set_xlabel("frames, %", color=GREY, fontsize=SMALL)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.44, 1.0), ncols=4, fontsize=TINY, frameon=False, labelcolor=INK,
        borderaxespad=0.2, handlelength=1.0, handletextpad=0.4, columnspacing=0.9,
    )  # fmt: skip
    title(axes, "What blocks the direct path")


def _draw_ranges(axes: Axes, frames: Frames) -> None:
    chart(axes)
    edges = np.arange(GRID_M * (frames.range_m.min() // GRID_M), frames.range_m.max() + GRID_M, GRID_M)
    stacks = [frames.range_m[frames.blocker == blocker] for blocker in range(len(BLOCKER_NAMES))]
    axes.hist(stacks, edges, stacked=True, color=BLOCKER_COLOURS, rwidth=0.9)
    axes.set_xlabel("slant range from the array, m", color=GREY, fontsize=SMALL)
    axes.set_ylabel("frames", color=GREY, fontsize=SMALL)
    title(axes, "Frames by range", f"median {np.median(frames.range_m):.0f} m; colours as to the left")
