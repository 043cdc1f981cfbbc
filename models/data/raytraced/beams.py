"""Directions of the sensors' beams, seen from the mast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.contract.sites import Site


def fan(site: Site, azimuth_rad: NDArray[np.float64], elevation_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors in ENU for every elevation and azimuth (left of the boresight), `[elevations * azimuths, 3]`."""
    e, a = np.meshgrid(elevation_rad, site.boresight_rad + azimuth_rad, indexing="ij")
    return np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], -1).reshape(-1, 3)


def ground_rings(site: Site, near_m: float, far_m: float, count: int) -> NDArray[np.float64]:
    """Elevations in rad whose rays meet flat ground at equally spaced distances."""
    return -np.arctan2(site.mast_height_m, np.linspace(near_m, far_m, count))
