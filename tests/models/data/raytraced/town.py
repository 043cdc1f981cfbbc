"""Streets without a ray tracer: houses on a flat or sloping plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.data.raytraced.streets import GRID_M, Streets
from models.data.raytraced.zones import OFF, OPEN


def town(
    houses: NDArray[np.bool_],
    west_south_m: tuple[float, float],
    ground_m: NDArray[np.float64] | None = None,
    zone: NDArray[np.uint8] | None = None,
) -> Streets:
    """All ground between houses `[rows, cols]` of 15 m is free and open, unless `zone` says otherwise."""
    ground = np.zeros(houses.shape) if ground_m is None else ground_m
    return Streets(
        clearance_m=ndimage.distance_transform_edt(~houses) * GRID_M,
        west_south_m=west_south_m,
        height_m=ground + 15.0 * houses,
        ground_m=ground,
        blocked=np.zeros(houses.shape, bool),
        zone=np.where(houses, OFF, OPEN).astype(np.uint8) if zone is None else zone,
    )
