"""What LiDAR and radar saw in one snapshot: range image, points from above, radar maps and detections."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from models.data.raytraced.lidar_image import HFOV_DEG
from models.data.showing.instant import Instant
from models.data.showing.look import AMOUNT, GREY, HEIGHT, INK, RANGE, SMALL, SPEED, TINY, bare, colour_bar, title
from models.data.showing.map_view import STILL_MPS, draw_outlines
from models.data.showing.plan import draw_plan

_STREET_TO_EAVES_M = (0.0, 25.0)  # heights that the colours of the LiDAR's points tell apart
_FAST_MPS = 12.0  # where the colours of the speeds end
_MAP_DB = (11.0, 50.0)  # over noise: the strongest of 64 cells of noise is seldom above the first


def draw_lidar_images(ranges: Axes, intensities: Axes, instant: Instant) -> None:
    """The sweep as a range image: ring by ring from the lowest, columns from left to right as in the camera frame."""
    rings, columns = instant.lidar_range_m.shape
    there = np.isfinite(instant.lidar_range_m)
    intensity = np.where(there, instant.lidar_intensity / 255, np.nan)
    for axes, image, colours, top, label in (
        (ranges, instant.lidar_range_m, RANGE, instant.site.range_max_m, "range, m"),
        (intensities, intensity, AMOUNT, 1.0, "intensity"),
    ):
        span = Normalize(0, top)
        axes.set_facecolor("white")
        axes.imshow(image, origin="lower", aspect="auto", cmap=colours, norm=span, interpolation="nearest")
        bare(axes)
        axes.set_ylabel("ring", fontsize=SMALL, color=GREY)
        axes.set_yticks([0, rings - 1], ["1", str(rings)])
        degrees = np.arange(-60, 61, 20)
        axes.set_xticks((0.5 - degrees / HFOV_DEG) * (columns - 1), [_side(v) for v in degrees])
        axes.tick_params(colors=GREY, length=0, labelsize=TINY)
        colour_bar(axes, colours, span, label)
    lost = 100 * (1 - there.mean())
    found = f"{there.sum():,} returns; white: none ({lost:.0f} %)"
    title(ranges, "LiDAR, range", f"{rings} rings × {columns} columns, {found}")
    title(intensities, "LiDAR, intensity")


def draw_lidar_above(axes: Axes, instant: Instant) -> None:
    """The sweep's points from above, over the outlines of the bodies."""
    draw_plan(axes, instant.plan)
    span = Normalize(*_STREET_TO_EAVES_M)
    order = np.argsort(instant.lidar[:, 2])
    x, y = instant.plan.of(instant.lidar[order]).T
    axes.scatter(x, y, c=instant.lidar[order, 2], cmap=HEIGHT, norm=span, s=1.6, linewidths=0, zorder=3)
    draw_outlines(axes, instant)
    colour_bar(axes, HEIGHT, span, "height over the mast's foot, m", "both")
    title(axes, "LiDAR, from above", "outlines: true footprints of the bodies")


def draw_range_azimuth(axes: Axes, instant: Instant) -> None:
    """The radar's range–azimuth map, laid out on flat ground."""
    draw_plan(axes, instant.plan)
    power = instant.range_azimuth_db
    x, y, above = ground_of(power.shape, instant.site.range_max_m, instant.site.mast_height_m)
    shown = np.ma.masked_where(above | (power < _MAP_DB[0]), power)
    axes.pcolormesh(x, y, shown, cmap=AMOUNT, norm=Normalize(*_MAP_DB), zorder=1.5, rasterized=True)
    draw_outlines(axes, instant)
    rows, columns = power.shape
    title(axes, "Radar, range–azimuth", f"{rows} × {columns} cells laid on flat ground; strongest Doppler cell")


def draw_range_doppler(axes: Axes, instant: Instant) -> None:
    """The radar's range–Doppler map."""
    power = instant.range_doppler_db
    rows, columns = power.shape
    fastest, far = instant.site.velocity_max_mps, instant.site.range_max_m
    half = fastest / columns  # standing still is in the middle of its cell
    extent = (-fastest - half, fastest - half, 0, far)
    span = Normalize(*_MAP_DB)
    axes.imshow(power, origin="lower", aspect="auto", extent=extent, cmap=AMOUNT, norm=span, interpolation="nearest")
    axes.tick_params(colors=GREY, length=0, labelsize=TINY)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("radial speed, m/s (positive: away)", fontsize=SMALL, color=GREY)
    axes.set_ylabel("slant range, m", fontsize=SMALL, color=GREY, labelpad=2)
    colour_bar(axes, AMOUNT, span, "power over noise, dB", "both")
    title(axes, "Range–Doppler", f"{rows} × {columns}")


def draw_detections(axes: Axes, instant: Instant) -> None:
    """The radar's list of detections from above, over the outlines of the bodies."""
    draw_plan(axes, instant.plan)
    speed = instant.radar[:, 4]
    span = Normalize(-_FAST_MPS, _FAST_MPS)
    moving = np.abs(speed) > STILL_MPS
    places = instant.plan.of(instant.radar[:, 1:3])
    axes.scatter(*places[~moving].T, s=6, color="#6d7480", linewidths=0, zorder=3)
    shown = {"c": speed[moving], "cmap": SPEED, "norm": span, "edgecolors": INK, "linewidths": 0.3}
    axes.scatter(*places[moving].T, s=15, **shown, zorder=4)
    draw_outlines(axes, instant)
    colour_bar(axes, SPEED, span, "radial speed, m/s (positive: away)", "both")
    title(axes, "Radar, detections", f"{len(speed)}, of them {int(moving.sum())} moving; grey: still")


def ground_of(
    shape: tuple[int, ...], far_m: float, mast_m: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Where the cells of a range–azimuth map meet flat ground.

    Args:
        shape: `(ranges, azimuths)`; azimuths are equal steps of the direction cosine from -1 (right) to 1 (left).

    Returns:
        Corners of the cells on a plan, x and y `[ranges + 1, azimuths + 1]` in metres, and bool `[ranges, azimuths]`:
        cells that do not reach the ground.
    """
    reach, left = np.meshgrid(np.linspace(0, far_m, shape[0] + 1), np.linspace(-1, 1, shape[1] + 1), indexing="ij")
    forward = reach**2 * (1 - left**2) - mast_m**2
    ends = forward <= 0
    above = ends[:-1, :-1] | ends[1:, :-1] | ends[:-1, 1:] | ends[1:, 1:]
    return -left * reach, np.sqrt(np.maximum(forward, 0)), above


def _side(degrees: int) -> str:
    return f"{abs(degrees)}°" + (" left" if degrees > 0 else " right" if degrees < 0 else "")
