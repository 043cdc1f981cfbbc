"""The picture of a set's links: path-loss maps by site and band, path loss over range, and who is not heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from models.data.shards import ShardSet
from models.data.showing.cells import FEWEST, GRID_M, cells, draw_cells
from models.data.showing.frames import Frames, counts
from models.data.showing.links import free_space_db, most_loss_db
from models.data.showing.look import (
    BAND_COLOURS,
    GREY,
    INK,
    LEFT_IN,
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
from models.data.showing.plan import draw_plan, plan_of
from models.data.showing.site_rows import SiteRows

_CLEAR = 0
_LOSS = WEAK_TO_STRONG.reversed()
_CHART_IN = 3.3
_BIN_M = 10.0  # of the chart over range


def draw_path_loss(path: Path, shards: ShardSet, frames: Frames) -> dict[str, object]:
    """Write the picture as a PNG; returns what was written and the counts of the frames."""
    rows = SiteRows(tuple(plan_of(shards, site) for site in frames.sites))
    charts_in = rows.bottom_in + 0.6
    figure = new_figure(
        charts_in + _CHART_IN + 0.65,
        "Path loss: every site at every band",
        f"Median over the frames in {GRID_M:g} m cells of {FEWEST} and more. The powers of all paths are added, the "
        "pattern of the site's element is included.",
        "One scale for all maps; the darkest red is an outage. At the loss called noise, a UE at full power is as "
        "strong as the noise of one antenna element over the band.",
    )  # fmt: skip
    rows.captions(figure, *(f"{band.name}, noise at {most_loss_db(band):.0f} dB" for band in frames.bands))
    span = _span(frames)
    for number, plan in enumerate(rows.plans):
        mine = frames.where(frames.site == number)
        shares = [f"{band.name} {100 * share:.1f} %" for band, share in zip(frames.bands, _mean(mine), strict=True)]
        rows.head(figure, number, f"{len(mine.site):,} frames; below the noise: {', '.join(shares)}")
        for index in range(len(frames.bands)):
            axes = rows.panel(figure, number, index)
            draw_plan(axes, plan, arcs=False)
            grid = cells(plan.of(mine.position_m), mine.path_loss_db[:, index], plan.bounds, "median")
            draw_cells(axes, grid, plan.bounds, _LOSS, span)
            if index == len(frames.bands) - 1:
                bar = colour_bar(axes, _LOSS, span, "path loss, dB", "max")
                bar.ax.invert_yaxis()
    _draw_by_range(place(figure, LEFT_IN + 0.35, charts_in, 6.9, _CHART_IN), frames)
    _draw_unheard(place(figure, LEFT_IN + 8.2, charts_in, WIDTH_IN - LEFT_IN - 8.5, _CHART_IN), frames)
    return {"path": str(path), "bytes": save(figure, path), **counts(frames)}


def _mean(frames: Frames) -> NDArray[np.float64]:
    return frames.below_noise.mean(0) if len(frames.site) else np.zeros(len(frames.bands))


def _span(frames: Frames) -> Normalize:
    """From the least loss of the lowest band to where the highest is lost in noise, in tens."""
    heard = frames.path_loss_db[np.isfinite(frames.path_loss_db)]
    low = float(np.percentile(heard, 1)) if heard.size else 60.0
    return Normalize(10 * np.floor(low / 10), 10 * np.ceil((low + 80) / 10))


def _draw_by_range(axes: Axes, frames: Frames) -> None:
    """Medians over range by band: line of sight and blocked, and free space."""
    chart(axes)
    edges = np.arange(_BIN_M * (frames.range_m.min() // _BIN_M), frames.range_m.max() + _BIN_M, _BIN_M)
    middle = (edges[:-1] + edges[1:]) / 2
    bin_of = np.digitize(frames.range_m, edges) - 1
    ends = []
    for index, (band, colour) in enumerate(zip(frames.bands, BAND_COLOURS, strict=True)):
        for clear, style in ((True, "-"), (False, (0, (2, 1.5)))):
            chosen = (frames.blocker == _CLEAR) == clear
            low, mid, high = _quantiles(frames.path_loss_db[chosen, index], bin_of[chosen], len(middle))
            axes.plot(middle, mid, color=colour, linestyle=style, linewidth=1.8)
            if clear:
                axes.fill_between(middle, low, high, color=colour, alpha=0.16, linewidth=0)
            ends += [mid, low if clear else mid]
        line_m = np.linspace(max(1.0, edges[0]), edges[-1], 100)
        axes.plot(line_m, free_space_db(line_m, band), color=colour, linewidth=0.9, alpha=0.8, linestyle=(0, (1, 1.5)))
    shown = np.concatenate(ends)
    if np.isfinite(shown).any():
        axes.set_ylim(float(np.nanmax(shown)) + 8, float(np.nanmin(shown)) - 6)
    axes.set_xlabel("slant range from the array, m", color=GREY, fontsize=SMALL)
    axes.set_ylabel("path loss, dB", color=GREY, fontsize=SMALL)
    lines = [Line2D([], [], color=colour, linewidth=2, label=band.name)
             for band, colour in zip(frames.bands, BAND_COLOURS, strict=True)]  # fmt: skip
    kinds = [Line2D([], [], color=GREY, linewidth=1.6, linestyle=style, label=name) for name, style in (
        ("line of sight", "-"), ("blocked", (0, (2, 1.5))), ("free space, isotropic", (0, (1, 1.5))))]  # fmt: skip
    axes.legend(handles=[*lines, *kinds], fontsize=TINY, frameon=False, ncols=2, loc="lower left", labelcolor=INK)
    title(axes, "Path loss over range", "medians; shaded: 10 to 90 % of the frames with line of sight")


def _quantiles(loss_db: NDArray[np.float64], bin_of: NDArray[np.int64], bins: int) -> tuple[NDArray[np.float64], ...]:
    """10 %, 50 % and 90 % in every bin, nan where frames are too few or the quantile is an outage."""
    found = np.full((3, bins), np.nan)
    for number in range(bins):
        members = loss_db[bin_of == number]
        if len(members) >= FEWEST:
            found[:, number] = np.quantile(members, (0.1, 0.5, 0.9), method="inverted_cdf")
    found[~np.isfinite(found)] = np.nan
    return tuple(found)


def _draw_unheard(axes: Axes, frames: Frames) -> None:
    """Shares of the frames below an element's noise, and of those without a measured distance, by site and band."""
    chart(axes)
    axes.grid(visible=False, axis="y")
    places = np.arange(len(frames.sites))[::-1].astype(float)
    height = 0.8 / len(frames.bands)
    for index, (band, colour) in enumerate(zip(frames.bands, BAND_COLOURS, strict=True)):
        below, unfound = (
            np.array([100 * float(flag[frames.site == site, index].mean()) for site in range(len(frames.sites))])
            for flag in (frames.below_noise, ~frames.detected)
        )
        at = places + (1 - index) * height
        axes.barh(at, below, 0.86 * height, color=colour, alpha=0.45)
        axes.barh(at, unfound, 0.86 * height, color=colour, label=band.name)
        for y, value in zip(at, np.maximum(below, unfound), strict=True):
            beside = {"xytext": (3, 0), "textcoords": "offset points", "fontsize": 7, "color": GREY, "va": "center"}
            axes.annotate(f"{value:.1f}", (value, y), **beside)
    axes.set_yticks(places, frames.sites)
    axes.set_xlim(0, 1.25 * axes.get_xlim()[1])
    axes.set_xlabel("frames, %", color=GREY, fontsize=SMALL)
    axes.legend(fontsize=TINY, frameon=False, loc="upper right", labelcolor=INK)
    title(axes, "Who is not heard", "CSI weaker than an element's noise; dark: no distance measured")
