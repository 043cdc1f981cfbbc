"""Radar detections to range-azimuth, range-Doppler, time-Doppler and time-height planes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site
from service.normalizers.polar import BINS, bin_of, clouds

PLANES = 4
_TIME, _EAST, _UP, _VELOCITY, _INTENSITY = 0, 1, 3, 4, 5  # columns of a capture


def radar_planes(captures: Sequence[NDArray[np.float32]], sites: Sequence[Site]) -> NDArray[np.float32]:
    """Detections of each capture, gathered in four planes of its site.

    A detection weighs `clip(intensity dB / 20, 0.05, 4)`. One behind the mast counts nowhere; one beyond the end of a
    range, time or height axis does not count in the planes of that axis; one beyond the last velocity counts in the
    edge bin.

    Args:
        captures: float32 `[N, 6]` each, finite, in the layout of `contract.captures`; N may be 0.
        sites: the site of each capture.

    Returns:
        float32 `[S, 4, 64, 64]`, `log1p` of the summed weight. Plane 0: sin(azimuth) from -1 to 1 (rising to the left)
        by slant range from the sensor. Plane 1: velocity by slant range. Plane 2: velocity by time. Plane 3: height
        (ENU up) by time. Every axis rises with its index.
    """
    size = len(captures) * PLANES * BINS * BINS
    # What does not count lies in a cell beyond the last one: cheaper than to leave it out of every array.
    total = np.zeros(size + 1)
    for cloud in clouds(captures, sites, _EAST):
        site, columns = cloud.site, cloud.columns
        azimuth, _ = bin_of(cloud.sin_azimuth, -1.0, 1.0)
        reach, in_reach = bin_of(cloud.range_m, 0.0, site.range_max_m)
        doppler, _ = bin_of(columns[_VELOCITY], -site.velocity_max_mps, site.velocity_max_mps)
        height, in_height = bin_of(columns[_UP], site.height_min_m, site.height_max_m)
        time, in_time = bin_of(columns[_TIME], 0.0, site.radar_window_s)
        weight = np.clip(columns[_INTENSITY] / 20.0, 0.05, 4.0)
        first = cloud.capture * PLANES
        cells = [
            np.where(cloud.in_front & counts, ((first + plane) * BINS + row) * BINS + column, size)
            for plane, (row, column, counts) in enumerate(
                (
                    (azimuth, reach, in_reach),
                    (doppler, reach, in_reach),
                    (doppler, time, in_time),
                    (height, time, in_height & in_time),
                )
            )
        ]
        total += np.bincount(np.concatenate(cells), np.tile(weight, PLANES), minlength=size + 1)
    planes = np.zeros(size, np.float32)
    lit = np.flatnonzero(total[:size] > 0)  # few: the logarithm of all would take longer than everything else
    planes[lit] = np.log1p(total[lit])
    return planes.reshape(-1, PLANES, BINS, BINS)
