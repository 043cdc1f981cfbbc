"""The camera frame with boxes around the bodies that can be seen in it."""

from __future__ import annotations

import math

import numpy as np
import simplejpeg
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.path import Path as Outline
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from models.data.raytraced.channel import CLEAR, PERSON
from models.data.raytraced.optics import CAMERA_COLS, CAMERA_HFOV_DEG, CAMERA_PITCH_DEG, CAMERA_ROWS
from models.data.showing.instant import Instant, Ue
from models.data.showing.look import BLOCKER_COLOURS, GREY, INK
from service.contract.sites import Site

_NEARER_M = 0.5  # a return nearer than the body by this much comes from something in front of it
_BETWEEN_RINGS_M = 5.0  # the same for the ray beside a body too small for any: rings meet the street 4 m apart
_LABEL_ROW, _LABEL_GAP_PX = 7.0, 11.0  # the labels stand in the sky


def project(site: Site, enu_m: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where points appear in the camera frame: the inverse of the rays that `raytraced.optics` casts.

    Args:
        enu_m: `[N, 3]`.

    Returns:
        Column and row in pixels, `[N, 2]`, 0 at the left and upper edge of the frame, and the depth along the optical
        axis in metres, `[N]`. A point of depth 0 or less is behind the camera and its pixel means nothing.
    """
    c, s = math.cos(math.radians(CAMERA_PITCH_DEG)), math.sin(math.radians(CAMERA_PITCH_DEG))
    forward, left, up = site.to_mast(np.asarray(enu_m, np.float64) - [0.0, 0.0, site.mast_height_m]).T
    depth = c * forward + s * up
    safe = np.where(depth > 0, depth, np.inf)
    half = math.tan(math.radians(CAMERA_HFOV_DEG / 2))
    column = (1 - left / safe / half) / 2 * CAMERA_COLS
    row = (1 - (c * up - s * forward) / safe / (half * CAMERA_ROWS / CAMERA_COLS)) / 2 * CAMERA_ROWS
    return np.column_stack([column, row]), depth


def seen_bodies(instant: Instant) -> list[int]:
    """Bodies that are not hidden behind something else as seen from the mast.

    The LiDAR stands where the camera stands, so its sweep is a depth image of the same view: a body is seen if any
    return within its outline is not nearer than the body itself. Where no ray meets the outline, as for a person far
    away, what blocks the body's UE decides; for a body without a UE, the ray next to its middle. A body whose UE has
    line of sight is seen in any case.
    """
    returns = _directions(instant.site, instant.lidar[:, :3])
    blockers = {ue.body: ue.blocker for ue in instant.ues}
    present = [int(body) for body in np.flatnonzero(instant.present)]
    return [body for body in present if _seen(instant, body, blockers.get(body), returns)]


def boxes_px(instant: Instant, bodies: list[int]) -> dict[int, tuple[float, float, float, float]]:
    """Left, right, top and bottom of the bodies' meshes, clipped to the frame; bodies outside it are left out."""
    boxes = {}
    for body in bodies:
        pixel, depth = project(instant.site, instant.corners_m(body))
        low, high = (
            np.clip(pixel, 0, [CAMERA_COLS, CAMERA_ROWS]).min(0),
            np.clip(pixel, 0, [CAMERA_COLS, CAMERA_ROWS]).max(0),
        )
        if (depth > 0).all() and (high > low).all():
            boxes[body] = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    return boxes


def draw_camera(axes: Axes, instant: Instant, seen: list[int]) -> int:
    """Draw the frame, a box for each body that is seen, and numbers of UEs in the sky; returns the number of boxes."""
    frame = simplejpeg.decode_jpeg(instant.camera)
    axes.imshow(frame, extent=(0, CAMERA_COLS, CAMERA_ROWS, 0), interpolation="nearest", zorder=1)
    boxes = boxes_px(instant, seen)
    ue_of_body = {ue.body: ue for ue in instant.ues}
    for body, (left, right, top, bottom) in boxes.items():
        ue = ue_of_body.get(body)
        colour = BLOCKER_COLOURS[ue.blocker] if ue else "white"
        shape = {"xy": (left - 1, top - 1), "width": right - left + 2, "height": bottom - top + 2, "fill": False}
        axes.add_patch(Rectangle(**shape, edgecolor=INK, linewidth=2.2 if ue else 1.6, alpha=0.55, zorder=3))
        axes.add_patch(Rectangle(**shape, edgecolor=colour, linewidth=1.4 if ue else 0.8, zorder=4))
    _label(axes, [(ue, *boxes[ue.body]) for ue in instant.ues if ue.body in boxes])
    _azimuth_ticks(axes, instant.site)
    axes.set_xlim(0, CAMERA_COLS)
    axes.set_ylim(CAMERA_ROWS, 0)
    return len(boxes)


def _label(axes: Axes, boxes: list[tuple[Ue, float, float, float, float]]) -> None:
    """Numbers side by side above the roofs, each joined to its box by a thin line."""
    boxes = sorted(boxes, key=lambda box: box[1] + box[2])
    wanted = np.array([(left + right) / 2 for _, left, right, _, _ in boxes])
    for (ue, left, right, top, _), column in zip(boxes, _spread(wanted), strict=True):
        colour = BLOCKER_COLOURS[ue.blocker]
        bend = [column, (left + right) / 2], [_LABEL_ROW + 4, top - 1]
        axes.plot(*bend, color="white", linewidth=1.5, alpha=0.55, zorder=2)
        axes.plot(*bend, color=colour, linewidth=0.8, zorder=2.5)
        axes.text(
            column, _LABEL_ROW, str(ue.number), ha="center", va="center", fontsize=8, weight="bold", color="white",
            bbox={"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "white", "linewidth": 0.7}, zorder=5,
        )  # fmt: skip


def _spread(wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places at least a label's width apart, near those wanted (which rise) and within the frame."""
    steps = np.arange(len(wanted)) * _LABEL_GAP_PX
    slack = wanted - steps
    # Isotonic regression by pooling neighbours that would stand too close.
    pools: list[tuple[float, int]] = []
    for value in slack:
        total, count = float(value), 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before = pools.pop()
            total, count = total + before[0], count + before[1]
        pools.append((total, count))
    placed = np.concatenate([[total / count] * count for total, count in pools]) if pools else slack
    edge = _LABEL_GAP_PX / 2
    return np.clip(placed, edge, CAMERA_COLS - edge - (steps[-1] if len(steps) else 0.0)) + steps


def _azimuth_ticks(axes: Axes, site: Site) -> None:
    azimuth = np.arange(-50, 51, 10)
    flat = site.boresight_rad + np.radians(azimuth)
    horizon = np.column_stack([np.cos(flat), np.sin(flat), np.full(len(flat), site.mast_height_m)])
    pixel, _ = project(site, horizon)
    axes.set_xticks(
        pixel[:, 0], [f"{abs(a)}°" + (" left" if a == 50 else " right" if a == -50 else "") for a in azimuth]
    )
    axes.set_yticks([])
    axes.set_xlabel("direction from the boresight, at the horizon", color=GREY)
    axes.tick_params(colors=GREY, length=0, labelsize=9)
    axes.spines[:].set_visible(False)


def _directions(site: Site, enu_m: NDArray[np.floating]) -> NDArray[np.float64]:
    """Azimuth and elevation in rad and slant range in m as seen from the sensor, `[N, 3]`."""
    forward, left, up = site.to_mast(np.asarray(enu_m, np.float64) - [0.0, 0.0, site.mast_height_m]).T
    ground = np.hypot(forward, left)
    return np.column_stack([np.arctan2(left, forward), np.arctan2(up, ground), np.hypot(ground, up)])


def _seen(instant: Instant, body: int, blocker: int | None, returns: NDArray[np.float64]) -> bool:
    if blocker == CLEAR:
        return True
    outline = _directions(instant.site, instant.corners_m(body))
    nearest_m = outline[:, 2].min()
    around = Outline(outline[ConvexHull(outline[:, :2]).vertices, :2])
    within = around.contains_points(returns[:, :2])
    if within.any():
        return bool((returns[within, 2] > nearest_m - _NEARER_M).any())
    if blocker is not None:
        return blocker == PERSON  # most often its own bearer
    if not len(returns):
        return True
    beside = np.hypot(*(returns[:, :2] - outline[:, :2].mean(0)).T).argmin()
    return bool(returns[beside, 2] > nearest_m - _BETWEEN_RINGS_M)
