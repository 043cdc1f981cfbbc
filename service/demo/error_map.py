"""A map of where the terminals were and where they were said to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch, Wedge
from numpy.typing import NDArray

from service.demo.outcome import Outcome
from service.demo.panels import GREY, INK, LOS_MARKERS, draw_error_curve, draw_weights
from service.demo.summary import summarise

GROUND, BUILDING, WALL, STATION = "#f6f4ee", "#dfdbd0", "#bdb7a8", "#22313f"
ERROR_COLOURS = LinearSegmentedColormap.from_list("error", ["#0a6c8e", "#21a088", "#e3a008", "#d9485f", "#7d1538"])
SECTOR_DEG = 120.0  # of the wedge that is drawn in front of the mast
MARGIN_M = 15.0
MAP_ASPECT = 1.1  # width of the map by its height
BUILDING_MIN_M = 3.0  # what is lower is ground, a car or a hedge

Bounds = tuple[float, float, float, float]  # west, east, south, north, m in ENU


@dataclass(frozen=True)
class Heights:
    """Heights over a grid, for the outlines of the buildings."""

    height_m: NDArray[np.float32]  # [row, column], row 0 in the south
    extent_m: Bounds

    @classmethod
    def load(cls, path: Path) -> Heights | None:
        """From the `map.npz` of an artifact (arrays `height` and `extent`); None where there is no such file."""
        if not path.is_file():
            return None
        with np.load(path) as data:
            west, east, south, north = (float(v) for v in data["extent"])
            return cls(data["height"].astype(np.float32), (west, east, south, north))


def draw_error_maps(
    out: Path, boresights_deg: Mapping[str, float], outcomes: Sequence[Outcome], heights: Heights | None
) -> list[Path]:
    """Write `error-map.png` of the first site with true and estimated positions, `error-map-SITE.png` of every other.

    Args:
        out: folder to write to; it is made where there is none.
        boresights_deg: sites by name, each with the direction of its array in degrees clockwise from north.
        outcomes: a replay.
        heights: background, or None for a plain one.

    Returns:
        What was written.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for site, boresight_deg in boresights_deg.items():
        if any(o.site == site and o.error_m is not None for o in outcomes):
            paths.append(out / (f"error-map-{site}.png" if paths else "error-map.png"))
            _draw_error_map(paths[-1], site, boresight_deg, outcomes, heights)
    return paths


def _draw_error_map(
    path: Path, site: str, boresight_deg: float, outcomes: Sequence[Outcome], heights: Heights | None
) -> None:
    """Positions with their 90 % regions on the left, the figures behind them on the right; this site and no other."""
    placed = [o for o in outcomes if o.site == site and o.error_m is not None]
    figure = Figure(figsize=(13.5, 8.4), dpi=120, facecolor="white")
    grid = figure.add_gridspec(
        1, 2, width_ratios=(2.75, 1), left=0.05, right=0.985, top=0.845, bottom=0.075, wspace=0.13
    )
    axes = figure.add_subplot(grid[0])
    worst_m = float(np.percentile([o.error_m or 0.0 for o in placed], 95))
    colours = Normalize(0.0, max(1.0, float(np.ceil(worst_m))))
    bounds = _bounds(placed)
    _draw_ground(axes, heights)
    _draw_station(axes, boresight_deg, bounds)
    _draw_outcomes(axes, placed, colours)
    _frame_map(axes, bounds, heights is not None)
    scale = figure.colorbar(
        ScalarMappable(colours, ERROR_COLOURS), ax=axes, location="right", extend="max", shrink=0.5, pad=0.02, aspect=28
    )
    scale.set_label("position error, m", color=GREY)
    scale.ax.tick_params(colors=GREY, length=0)
    scale.ax.spines[:].set_visible(False)
    column = grid[1].subgridspec(2, 1, hspace=0.4)
    for row, draw in enumerate((draw_error_curve, draw_weights)):
        draw(figure.add_subplot(column[row]), placed)
    figure.text(
        0.05,
        0.945,
        f"Site {site}: where the terminals were, and where they were seen",
        fontsize=17,
        weight="bold",
        color=INK,
    )
    figure.text(0.05, 0.903, _figures(placed), fontsize=11.5, color=GREY)
    figure.savefig(path)


def _figures(placed: Sequence[Outcome]) -> str:
    summary = summarise(placed)
    parts = [
        f"{len(placed)} frames of {len({o.ue for o in placed})} terminals",
        f"median error {summary.position_median_m:.2f} m",
        f"95 % below {summary.position_p95_m:.1f} m",
    ]
    if summary.region_coverage is not None:
        parts.append(f"90 % region holds {100 * summary.region_coverage:.1f} %")
    if summary.los_accuracy is not None:
        parts.append(f"line of sight right in {100 * summary.los_accuracy:.1f} %")
    return "   ·   ".join(parts)


def _bounds(placed: Sequence[Outcome]) -> Bounds:
    """What the map shows: all positions and the mast at the origin with a margin, widened to the shape of the paper."""
    points = np.array([p for o in placed for p in (o.position_enu_m, o.truth.position_enu_m)] + [(0.0, 0.0)], float)
    (west, south), (east, north) = points.min(axis=0) - MARGIN_M, points.max(axis=0) + MARGIN_M
    wide, high = max(east - west, MAP_ASPECT * (north - south)), max(north - south, (east - west) / MAP_ASPECT)
    east_m, north_m = float(west + east) / 2, float(south + north) / 2
    return east_m - wide / 2, east_m + wide / 2, north_m - high / 2, north_m + high / 2


def _draw_ground(axes: Axes, heights: Heights | None) -> None:
    axes.set_facecolor(GROUND)
    if heights is None:
        return
    rows, columns = heights.height_m.shape
    west, east, south, north = heights.extent_m
    x = west + (np.arange(columns) + 0.5) * (east - west) / columns
    y = south + (np.arange(rows) + 0.5) * (north - south) / rows
    built = np.nan_to_num(heights.height_m)
    axes.contourf(x, y, built, levels=[BUILDING_MIN_M, np.inf], colors=[BUILDING], zorder=1)
    axes.contour(x, y, built, levels=[BUILDING_MIN_M], colors=[WALL], linewidths=0.8, zorder=1)


def _draw_station(axes: Axes, boresight_deg: float, bounds: Bounds) -> None:
    radius_m = 0.22 * max(bounds[1] - bounds[0], bounds[3] - bounds[2])
    middle = 90.0 - boresight_deg  # counter-clockwise from east
    first, last = middle - SECTOR_DEG / 2, middle + SECTOR_DEG / 2
    for share in np.linspace(0.05, 1.0, 24):  # the sector fades outwards
        wedge = Wedge((0, 0), share * radius_m, first, last, facecolor=STATION, edgecolor="none", alpha=0.014, zorder=2)
        axes.add_patch(wedge)
    axes.plot(0, 0, marker="^", markersize=15, color=STATION, markeredgecolor="white", markeredgewidth=1.5, zorder=7)


def _draw_outcomes(axes: Axes, placed: Sequence[Outcome], colours: Normalize) -> None:
    placed = sorted(placed, key=lambda o: o.error_m or 0.0)  # the worst are drawn last, on top
    estimated = np.array([o.position_enu_m for o in placed], float)  # [N, 2]
    true = np.array([o.truth.position_enu_m for o in placed], float)  # [N, 2]
    paint = ERROR_COLOURS(colours([o.error_m or 0.0 for o in placed]))  # [N, 4]
    regions = [
        (Ellipse((e, n), 2 * r.semi_major_m, 2 * r.semi_minor_m, angle=90.0 - r.orientation_deg), colour)
        for (e, n), r, colour in zip(estimated, (o.region for o in placed), paint, strict=True)
        if r is not None
    ]
    ellipses, edges = [ellipse for ellipse, _ in regions], np.array([colour for _, colour in regions]).reshape(-1, 4)
    axes.add_collection(
        PatchCollection(
            ellipses, facecolors=edges * (1, 1, 1, 0.07), edgecolors=edges * (1, 1, 1, 0.35), linewidths=0.7, zorder=3
        )
    )
    axes.add_collection(
        LineCollection(list(np.stack([true, estimated], axis=1)), colors=paint, linewidths=1.1, zorder=4)
    )
    axes.scatter(true[:, 0], true[:, 1], s=13, facecolors="white", edgecolors=INK, linewidths=0.7, zorder=5)
    for los, marker in LOS_MARKERS.items():
        chosen = np.array([(o.truth.los is not False) is los for o in placed])
        x, y = estimated[chosen].T
        axes.scatter(x, y, s=26, marker=marker, c=paint[chosen], edgecolors="white", linewidths=0.5, zorder=6)


def _frame_map(axes: Axes, bounds: Bounds, built: bool) -> None:
    axes.set_xlim(bounds[0], bounds[1])
    axes.set_ylim(bounds[2], bounds[3])
    axes.set_aspect("equal")
    axes.set_xlabel("east, m", color=GREY)
    axes.set_ylabel("north, m", color=GREY)
    axes.tick_params(colors=GREY, length=0, labelsize=9)
    axes.grid(color="white", linewidth=0.8, zorder=0)
    axes.spines[:].set_visible(False)
    marks = [
        Line2D([], [], linestyle="", marker="^", markersize=11, color=STATION, label="base station and its sector"),
        Line2D(
            [], [], linestyle="", marker="o", markersize=4.5, markerfacecolor="white", color=INK, label="true position"
        ),
        *(
            Line2D([], [], linestyle="", marker=m, markersize=6, color=GREY, label=f"estimate, {name}")
            for m, name in ((LOS_MARKERS[True], "line of sight"), (LOS_MARKERS[False], "no line of sight"))
        ),
        Ellipse((0, 0), 1, 1, facecolor="#8882", edgecolor=GREY, label="90 % region"),
    ]
    if built:
        marks.append(Patch(facecolor=BUILDING, edgecolor=WALL, label="building"))
    axes.legend(handles=marks, loc="best", fontsize=9, framealpha=0.92, edgecolor="none", labelcolor=INK).set_zorder(8)
