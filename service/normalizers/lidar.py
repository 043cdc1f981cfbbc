"""LiDAR returns to bird's-eye planes on the azimuth-range grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site
from service.normalizers.polar import BINS, directions

PLANES = 3
HEIGHT_UNIT_M = 10.0
HEIGHT_MAX = 3.0  # in height units
COUNT_SCALE = 3.0  # divisor of log1p(count)

_CELLS = BINS * BINS


def lidar_planes(captures: Sequence[NDArray[np.float32]], sites: Sequence[Site]) -> NDArray[np.float32]:
    """Returns of each capture as a picture from above, in the polar grid of its site.

    Returns behind the mast or beyond `range_max_m` do not count.

    Args:
        captures: float32 `[N, 5]` each, finite, in the layout of `contract.captures`; N may be 0.
        sites: the site of each capture.

    Returns:
        float32 `[S, 3, 64, 64]` (capture, plane, azimuth, range); sin(azimuth) from -1 to 1 rises to the left, slant
        range is from the sensor. Plane 0: greatest height above the ground, in 10 m, clipped to [0, 3]. Plane 1:
        `log1p(count) / 3`. Plane 2: mean intensity, 0 to 1. Empty cells are 0 in all planes.
    """
    planes = np.zeros((len(captures), PLANES, BINS, BINS), np.float32)
    fill_lidar_planes(planes, dict(enumerate(captures)), sites)
    return planes


def fill_lidar_planes(
    planes: NDArray[np.float32], captures: Mapping[int, NDArray[np.float32]], sites: Sequence[Site]
) -> None:
    """Write into planes of zeros the rows that have a capture; `sites` are those of all rows."""
    for row, capture in captures.items():
        if len(capture):
            _fill(planes[row].reshape(PLANES, _CELLS), capture, sites[row])


def _fill(planes: NDArray[np.float32], capture: NDArray[np.float32], site: Site) -> None:
    """Write the planes `[3, 4096]` of one capture, which has points enough to be worth calls of its own."""
    east, north, up, intensity, _ = capture.T.astype(np.float32, order="C")  # of this very dtype: else `at` is slow
    where = directions(east, north, up, site)
    counts = where.range_m <= site.range_max_m
    counts &= where.in_front
    with np.errstate(invalid="ignore"):  # of places that float32 does not hold, which do not count
        cell = _bins((where.sin_azimuth + np.float32(1)) * np.float32(BINS / 2))
        cell *= BINS
        cell += _bins(where.range_m * np.float32(BINS / site.range_max_m))
    if not counts.all():
        cell[~counts] = _CELLS  # beyond the last: cheaper than to leave it out of every array
    place = cell.astype(np.intp)

    highest = np.zeros(_CELLS + 1, np.float32)
    np.maximum.at(highest, place, up)
    count = np.bincount(place, minlength=_CELLS + 1)[:_CELLS]
    brightness = np.bincount(place, intensity.clip(0, 1), minlength=_CELLS + 1)[:_CELLS]
    np.divide(highest[:_CELLS], np.float32(HEIGHT_UNIT_M), out=planes[0])
    np.minimum(planes[0], np.float32(HEIGHT_MAX), out=planes[0])
    planes[1:] = count
    planes[1] += 1
    np.log(planes[1], out=planes[1])
    planes[1] /= np.float32(COUNT_SCALE)
    np.maximum(planes[2], np.float32(1), out=planes[2])
    np.divide(brightness.astype(np.float32), planes[2], out=planes[2])


def _bins(positions: NDArray[np.float32]) -> NDArray[np.int32]:
    """Bin 0 to 63 of positions from 0 to 64."""
    bins = positions.astype(np.int32)
    return np.minimum(bins, BINS - 1, out=bins)
