"""The camera frame with boxes around the UEs' bodies that can be seen in it."""

from __future__ import annotations

import numpy as np
import simplejpeg
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from models.data.showing.instant import Instant, Ue
from models.data.showing.look import BLOCKER_COLOURS, bare

_LABEL_ROW, _LABEL_GAP = 0.045, 0.035  # of the frame's height and width: the labels stand in the sky


def draw_camera(axes: Axes, instant: Instant) -> int:
    """Draw the frame, a box for each UE that is seen, and their numbers at the top; returns the number of boxes."""
    frame = simplejpeg.decode_jpeg(instant.camera)
    rows, columns = frame.shape[:2]
    axes.imshow(frame, extent=(0, columns, rows, 0), interpolation="nearest", zorder=1)
    seen = [ue for ue in instant.ues if ue.box_px]
    for ue in seen:
        left, top, right, bottom = ue.box_px
        shape = {"xy": (left - 1, top - 1), "width": right - left + 2, "height": bottom - top + 2, "fill": False}
        axes.add_patch(Rectangle(**shape, edgecolor="white", linewidth=2.6, alpha=0.75, zorder=3))
        axes.add_patch(Rectangle(**shape, edgecolor=BLOCKER_COLOURS[ue.blocker], linewidth=1.5, zorder=4))
    _label(axes, seen, rows, columns)
    bare(axes)
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    return len(seen)


def spread(wanted: NDArray[np.float64], gap: float, low: float, high: float) -> NDArray[np.float64]:
    """Places at least `gap` apart, near those wanted (which rise) and between `low` and `high`.

    Isotonic regression by pooling neighbours that would stand too close.
    """
    steps = np.arange(len(wanted)) * gap
    pools: list[tuple[float, int]] = []
    for value in wanted - steps:
        total, count = float(value), 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before = pools.pop()
            total, count = total + before[0], count + before[1]
        pools.append((total, count))
    placed = np.array([total / count for total, count in pools for _ in range(count)])
    return np.clip(placed, low, high - (steps[-1] if len(steps) else 0.0)) + steps


def _label(axes: Axes, seen: list[Ue], rows: int, columns: int) -> None:
    """Numbers side by side above the roofs, each joined to its box by a thin line."""
    boxes = sorted((((ue.box_px[0] + ue.box_px[2]) / 2, ue) for ue in seen), key=lambda box: box[0])
    gap, height = _LABEL_GAP * columns, _LABEL_ROW * rows
    places = spread(np.array([middle for middle, _ in boxes]), gap, gap / 2, columns - gap / 2)
    for (middle, ue), column in zip(boxes, places, strict=True):
        colour = BLOCKER_COLOURS[ue.blocker]
        bend = [column, middle], [1.6 * height, ue.box_px[1] - 1]
        axes.plot(*bend, color="white", linewidth=1.6, alpha=0.6, zorder=2)
        axes.plot(*bend, color=colour, linewidth=0.8, zorder=2.5)
        axes.text(
            column, height, str(ue.number), ha="center", va="center", fontsize=7.5, weight="bold", color="white",
            bbox={"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "white", "linewidth": 0.7}, zorder=5,
        )  # fmt: skip
