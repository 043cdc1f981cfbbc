"""The look that all pictures of a set share: colours, figures, panels, and how a figure becomes a small PNG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial import cKDTree

INK, GREY, PALE = "#22272e", "#5c6470", "#c8ccd2"
BODY = "#7b8390"  # a body without a UE
BLOCKER_NAMES = ("line of sight", "blocked by a building", "blocked by a vehicle", "blocked by a person")
BLOCKER_COLOURS = ("#0a6c8e", "#d9485f", "#e3a008", "#7a4fa3")
PURPOSE_COLOURS = {
    "train": "#0a6c8e", "val": "#e3a008", "test": "#d9485f", "region": "#1b8a74", "nlos": "#7a4fa3",
    "empty": "#8a8f98",
}  # fmt: skip
BAND_COLOURS = ("#1b2a41", "#4d8fb8", "#d97706")  # from the lowest carrier to the highest
WEAK_TO_STRONG = LinearSegmentedColormap.from_list("weak", ["#7d1538", "#d9485f", "#e3a008", "#21a088", "#0a6c8e"])
AMOUNT = LinearSegmentedColormap.from_list("amount", ["#f6f4ee", "#9fd0c4", "#21a088", "#0a6c8e", "#1b2a41"])
SIGNED = LinearSegmentedColormap.from_list("signed", ["#0a6c8e", "#7fb6c6", "#f3f1ec", "#eb9aa6", "#c02a46"])
RAYS = LinearSegmentedColormap.from_list("rays", ["#f6c85f", "#e4572e", "#7d1538"])  # the weakest to the strongest
HEIGHT = LinearSegmentedColormap.from_list("height", ["#8a8f98", "#21a088", "#0a6c8e", "#7a4fa3", "#d9485f"])
SPEED = LinearSegmentedColormap.from_list("speed", ["#06506b", "#3fa3c4", "#e9e6df", "#f08a7a", "#b3152f"])
RANGE = LinearSegmentedColormap.from_list("range", ["#d9485f", "#e3a008", "#21a088", "#0a6c8e", "#1b2a41"])
WIDTH_IN, LEFT_IN, DPI = 16.0, 0.6, 100
SMALL, TINY = 9.0, 8.0  # points
_COLOURS = 256  # of a PNG


def new_figure(height_in: float, title: str, *lines: str) -> Figure:
    """An empty figure of the common width with its title, and lines in grey below it."""
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor="white")
    left = LEFT_IN / WIDTH_IN
    figure.text(left, 1 - 0.42 / height_in, title, fontsize=19, weight="bold", color=INK, va="center")
    for row, line in enumerate(lines):
        figure.text(left, 1 - (0.8 + 0.27 * row) / height_in, line, fontsize=11, color=GREY, va="center")
    return figure


def place(figure: Figure, left_in: float, top_in: float, width_in: float, height_in: float) -> Axes:
    """A panel by its place in inches from the figure's upper left corner."""
    whole = figure.get_figheight()
    return figure.add_axes(
        (left_in / WIDTH_IN, 1 - (top_in + height_in) / whole, width_in / WIDTH_IN, height_in / whole)
    )


def heading(figure: Figure, top_in: float, text: str, *lines: str) -> None:
    """Heading of a block of panels, and lines in grey below it."""
    whole, left = figure.get_figheight(), LEFT_IN / WIDTH_IN
    figure.text(left, 1 - (top_in + 0.08) / whole, text, fontsize=13.5, weight="bold", color=INK, va="center")
    for row, line in enumerate(lines):
        figure.text(left, 1 - (top_in + 0.33 + 0.2 * row) / whole, line, fontsize=SMALL, color=GREY, va="center")


def title(axes: Axes, text: str, detail: str = "", colour: str = INK) -> None:
    """Title of a panel above its left edge, with a detail in grey after it."""
    place_at = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    name = axes.annotate(text, (0, 1), xytext=(0, 7), fontsize=11.5, weight="bold", color=colour, **place_at)
    if detail:
        axes.annotate(
            detail, (1, 0), xycoords=name, xytext=(8, 0.5), textcoords="offset points", fontsize=SMALL, color=GREY,
            annotation_clip=False,
        )  # fmt: skip


def chart(axes: Axes) -> None:
    """Frame of a chart: a hairline grid and a base line."""
    axes.tick_params(colors=GREY, length=0, labelsize=SMALL)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.grid(color="#eceef1", linewidth=0.8)
    axes.set_axisbelow(True)


def bare(axes: Axes) -> None:
    """Frame of a picture: no ticks, no border."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def colour_bar(axes: Axes, colours: Colormap, span: Normalize, label: str, extend: str = "neither") -> Colorbar:
    """A slim colour bar to the right of a panel."""
    width_in = axes.get_position().width * WIDTH_IN
    inset = axes.inset_axes((1 + 0.09 / width_in, 0.1, 0.09 / width_in, 0.8))
    bar = axes.figure.colorbar(ScalarMappable(span, colours), cax=inset, extend=extend)
    bar.set_label(label, color=GREY, fontsize=SMALL)
    bar.ax.tick_params(colors=GREY, length=0, labelsize=TINY)
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
