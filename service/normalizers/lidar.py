"""LiDAR returns to bird's-eye planes on the azimuth-range grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site
from service.normalizers.polar import BINS, bin_of, clouds

PLANES = 3
HEIGHT_UNIT_M = 10.0
HEIGHT_MAX = 3.0  # in height units
COUNT_SCALE = 3.0  # divisor of log1p(count)
_EAST, _UP, _INTENSITY = 0, 2, 3  # columns of a capture


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
    size = len(captures) * BINS * BINS
    # What does not count lies in a cell beyond the last one: cheaper than to leave it out of every array.
    highest, count, intensity = np.zeros(size + 1), np.zeros(size + 1), np.zeros(size + 1)
    for cloud in clouds(captures, sites, _EAST):
        azimuth, _ = bin_of(cloud.sin_azimuth, -1.0, 1.0)
        reach, in_reach = bin_of(cloud.range_m, 0.0, cloud.site.range_max_m)
        cell = np.where(cloud.in_front & in_reach, (cloud.capture * BINS + azimuth) * BINS + reach, size)
        np.maximum.at(highest, cell, cloud.columns[_UP] / HEIGHT_UNIT_M)
        count += np.bincount(cell, minlength=size + 1)
        intensity += np.bincount(cell, np.clip(cloud.columns[_INTENSITY], 0.0, 1.0), minlength=size + 1)
    highest, count, intensity = highest[:size], count[:size], intensity[:size]
    planes = np.empty((len(captures), PLANES, BINS, BINS), np.float32)
    for plane, values in enumerate(
        (np.minimum(highest, HEIGHT_MAX), np.log1p(count) / COUNT_SCALE, intensity / np.maximum(count, 1.0))
    ):
        planes[:, plane] = values.reshape(-1, BINS, BINS)
    return planes
