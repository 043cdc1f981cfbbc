"""The azimuth-range grid that radar and LiDAR share, in the mast frame seen from the sensor at mast height."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site

BINS = 64

_NO_WAY_M = 1e-30  # in place of 0, so that a point straight above or below the sensor is straight ahead


@dataclass(frozen=True, eq=False)
class Directions:
    """Where the points of a site's captures lie, in the precision of their coordinates.

    Attributes:
        in_front: bool `[P]`, whether the point lies in front of the mast.
        sin_azimuth: `[P]`, rising to the left of the boresight.
        range_m: `[P]`, slant range from the sensor.
    """

    in_front: NDArray[np.bool_]
    sin_azimuth: NDArray[np.floating]
    range_m: NDArray[np.floating]


def directions(
    east: NDArray[np.floating], north: NDArray[np.floating], up: NDArray[np.floating], site: Site
) -> Directions:
    """Turn ENU coordinates `[P]` to the mast. One so large that its square overflows is infinitely far away, or NaN."""
    cos, sin = math.cos(site.boresight_rad), math.sin(site.boresight_rad)
    with np.errstate(over="ignore", invalid="ignore"):
        forward = cos * east
        forward += sin * north
        left = cos * north
        left -= sin * east
        squared_m2 = left * left
        squared_m2 += forward * forward
        range_m = up - site.mast_height_m
        range_m *= range_m
        range_m += squared_m2
        np.sqrt(range_m, out=range_m)
        ground_m = np.sqrt(squared_m2, out=squared_m2)
        left /= np.maximum(ground_m, _NO_WAY_M, out=ground_m)
    return Directions(forward >= 0, left, range_m)
