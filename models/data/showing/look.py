"""The look that all pictures of a set share: colours, maps, frames, and how a figure becomes a small PNG."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Wedge
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from models.data.raytraced.layouts import Layout

INK, GREY, HAIR = "#22272e", "#5c6470", "#e4e6ea"
GROUND, WALL, STATION = "#f6f4ee", "#bdb7a8", "#22313f"
ROOFS = ("#e6e2d8", "#d9d4c7", "#cac4b4")  # of buildings from 3 m, 15 m and 25 m of height
ROOF_HEIGHTS_M = (3.0, 15.0, 25.0)  # what is lower than the first is ground, a car or a hedge
BLOCKER_NAMES = ("line of sight", "blocked by building", "blocked by vehicle", "blocked by person")
BLOCKER_COLOURS = ("#0a6c8e", "#d9485f", "#e3a008", "#7a4fa3")
PART_COLOURS = {"train": "#0a6c8e", "val": "#e3a008", "test": "#d9485f"}
WEAK_TO_STRONG = LinearSegmentedColormap.from_list("weak", ["#7d1538", "#d9485f", "#e3a008", "#21a088", "#0a6c8e"])
AMOUNT = LinearSegmentedColormap.from_list("amount", ["#f6f4ee", "#9fd0c4", "#21a088", "#0a6c8e", "#1b2a41"])
SIGNED = LinearSegmentedColormap.from_list("signed", ["#0a6c8e", "#7fb6c6", "#f3f1ec", "#eb9aa6", "#c02a46"])
HEIGHT = LinearSegmentedColormap.from_list("height", ["#8a8f98", "#21a088", "#0a6c8e", "#7a4fa3", "#d9485f"])
SPEED = LinearSegmentedColormap.from_list("speed", ["#06506b", "#3fa3c4", "#e9e6df", "#f08a7a", "#b3152f"])
WIDTH_IN, LEFT_IN, DPI = 18.0, 0.7, 100
_MARGIN_M = 8.0  # of a map around the sector
_COLOURS = 256  # of a PNG

Bounds = tuple[float, float, float, float]  # west, east, south, north, m in ENU


@dataclass(frozen=True)
class Heights:
    """Heights over a grid, for the outlines of the buildings."""

    height_m: NDArray[np.float32]  # [row, column], row 0 in the south
    extent_m: Bounds

    @classmethod
    def load(cls, path: Path) -> Heights | None:
        """From a `map.npz` (arrays `height` and `extent`, see `models.export --map`); None where there is none."""
        if not path.is_file():
            return None
        with np.load(path) as data:
            west, east, south, north = (float(v) for v in data["extent"])
            return cls(np.nan_to_num(data["height"].astype(np.float32)), (west, east, south, north))


def sector_bounds(layout: Layout) -> Bounds:
    """What a map of the layout shows: the served sector and the mast, with a margin."""
    middle, half = layout.site.boresight_rad, math.radians(layout.sector_deg)
    angle = np.linspace(middle - half, middle + half, 181)
    east = np.append(layout.range_m[1] * np.cos(angle), 0.0)
    north = np.append(layout.range_m[1] * np.sin(angle), 0.0)
    return (
        float(east.min()) - _MARGIN_M, float(east.max()) + _MARGIN_M,
        float(north.min()) - _MARGIN_M, float(north.max()) + _MARGIN_M,
    )  # fmt: skip


def new_figure(height_in: float, title: str, *lines: str) -> Figure:
    """An empty figure of the common width with its title, and lines in grey below it."""
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor="white")
    figure.text(LEFT_IN / WIDTH_IN, 1 - 0.42 / height_in, title, fontsize=19, weight="bold", color=INK, va="center")
    for row, line in enumerate(lines):
        figure.text(
            LEFT_IN / WIDTH_IN, 1 - (0.78 + 0.27 * row) / height_in, line, fontsize=11.5, color=GREY, va="center"
        )
    return figure


def place(figure: Figure, left_in: float, top_in: float, width_in: float, height_in: float) -> Axes:
    """A panel by its place in inches from the figure's upper left corner."""
    whole = figure.get_figheight()
    return figure.add_axes(
        (left_in / WIDTH_IN, 1 - (top_in + height_in) / whole, width_in / WIDTH_IN, height_in / whole)
    )


def map_height_in(layout: Layout, width_in: float) -> float:
    """Height of a map of the layout that is so wide."""
    west, east, south, north = sector_bounds(layout)
    return width_in * (north - south) / (east - west)


def draw_map(axes: Axes, layout: Layout, heights: Heights | None) -> None:
    """Ground, buildings where their heights are known, the sector and the mast; axes in metres of ENU."""
    bounds = sector_bounds(layout)
    axes.set_facecolor(GROUND)
    axes.grid(color="white", linewidth=0.8, zorder=0)
    if heights is not None:
        rows, columns = heights.height_m.shape
        west, east, south, north = heights.extent_m
        x = west + (np.arange(columns) + 0.5) * (east - west) / columns
        y = south + (np.arange(rows) + 0.5) * (north - south) / rows
        axes.contourf(x, y, heights.height_m, levels=[*ROOF_HEIGHTS_M, np.inf], colors=ROOFS, zorder=1)
        axes.contour(x, y, heights.height_m, levels=[ROOF_HEIGHTS_M[0]], colors=[WALL], linewidths=0.8, zorder=1)
    middle = math.degrees(layout.site.boresight_rad)
    near_m, far_m = layout.range_m
    ring = {"theta1": middle - layout.sector_deg, "theta2": middle + layout.sector_deg, "width": far_m - near_m}
    axes.add_patch(Wedge((0, 0), far_m, **ring, facecolor=STATION, edgecolor="none", alpha=0.045, zorder=1.5))
    edge = {"edgecolor": STATION, "alpha": 0.4, "linewidth": 0.9, "linestyle": (0, (5, 4))}
    axes.add_patch(Wedge((0, 0), far_m, **ring, fill=False, **edge, zorder=2))
    axes.plot(0, 0, marker="^", markersize=14, color=STATION, markeredgecolor="white", markeredgewidth=1.4, zorder=9)
    axes.set_xlim(bounds[0], bounds[1])
    axes.set_ylim(bounds[2], bounds[3])
    axes.set_aspect("equal")
    axes.set_xlabel("east of the mast, m", color=GREY)
    axes.set_ylabel("north of the mast, m", color=GREY)
    axes.tick_params(colors=GREY, length=0, labelsize=9)
    axes.spines[:].set_visible(False)


def roof_marks(heights: Heights | None) -> list[Patch]:
    """Legend entries of the buildings; none where their heights are not known."""
    if heights is None:
        return []
    tops = [f" to {high:.0f} m" for high in ROOF_HEIGHTS_M[1:]] + [" m and more"]
    return [
        Patch(facecolor=colour, edgecolor=WALL, label=f"building, {low:.0f}{top}")
        for colour, low, top in zip(ROOFS, ROOF_HEIGHTS_M, tops, strict=True)
    ]


def title(axes: Axes, text: str, detail: str = "") -> None:
    """Title of a panel above its left edge, with a detail in grey behind it."""
    axes.set_title(text, loc="left", fontsize=11.5, weight="bold", color=INK, pad=7)
    if detail:
        axes.set_title(detail, loc="right", fontsize=9, color=GREY, pad=7)


def chart(axes: Axes) -> None:
    """Frame of a chart: a hairline grid and a base line."""
    axes.tick_params(colors=GREY, length=0, labelsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c8ccd2")
    axes.grid(color="#eceef1", linewidth=0.8)
    axes.set_axisbelow(True)


def scale_bar(axes: Axes, colours: LinearSegmentedColormap, span: Normalize, label: str, extend: str) -> Colorbar:
    """A slim colour bar to the right of a panel."""
    inset = axes.inset_axes((1.012, 0.1, 0.011, 0.8))
    bar = axes.figure.colorbar(ScalarMappable(span, colours), cax=inset, extend=extend)
    bar.set_label(label, color=GREY, fontsize=9)
    bar.ax.tick_params(colors=GREY, length=0, labelsize=8.5)
    bar.outline.set_visible(False)
    return bar


def save(figure: Figure, path: Path) -> int:
    """Write the figure as a PNG of at most 256 colours, a third of the size of all colours; returns its bytes.

    The palette is fitted to the colours by the root of how often they occur: a thin line keeps its colour, and the
    paper does not take half of the palette.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", facecolor="white")
    pixels = np.asarray(Image.open(drawn).convert("RGB"))
    code = pixels.astype(np.int64) @ [1 << 16, 1 << 8, 1]
    codes, index, count = np.unique(code, return_inverse=True, return_counts=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1)
    often = np.repeat(colours, np.ceil(np.sqrt(count)).astype(int), axis=0).astype(np.uint8)
    fitted = Image.fromarray(often[None]).quantize(_COLOURS - 1, method=Image.Quantize.MEDIANCUT, kmeans=2)
    palette = np.vstack([np.array(fitted.getpalette()).reshape(-1, 3), [[255, 255, 255]]])  # the paper stays white
    nearest = cKDTree(palette).query(colours)[1].astype(np.uint8)
    picture = Image.fromarray(nearest[index].reshape(code.shape), "P")
    picture.putpalette(palette.astype(np.uint8).tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, format="PNG", optimize=True)
    return path.stat().st_size
