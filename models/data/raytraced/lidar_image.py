"""The LiDAR's sweep as its packets carry it, a range image, and the points that the service takes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.beams import fan, ground_rings
from service.contract.sites import Site

RINGS, COLUMNS = 44, 256
HFOV_DEG = 124.0
STEP_M = 0.004  # of the range; 16 bits reach 262 m
_GROUND_M = (16.0, 190.0)  # where the lowest and the highest ring meet flat ground


def lidar_rays(site: Site) -> NDArray[np.float64]:
    """Unit vectors of all beams in ENU, `[RINGS * COLUMNS, 3]`, ring by ring and from left to right."""
    half = math.radians(HFOV_DEG / 2)
    return fan(site, np.linspace(half, -half, COLUMNS), ground_rings(site, *_GROUND_M, RINGS))


def lidar_points(range_steps: NDArray[np.uint16], intensity: NDArray[np.uint8], site: Site) -> NDArray[np.float32]:
    """The returns of one sweep as the service takes them: float32 `[N, 5]`, ENU m, intensity 0..1, ring.

    Args:
        range_steps: uint16 `[RINGS, COLUMNS]` in `STEP_M`, 0 where nothing came back.
        intensity: uint8 `[RINGS, COLUMNS]`.
    """
    flat = range_steps.ravel()
    there = np.flatnonzero(flat)
    points = lidar_rays(site)[there] * (flat[there, None] * STEP_M) + [0.0, 0.0, site.mast_height_m]
    strength = intensity.ravel()[there] / 255.0
    return np.column_stack([points, strength, there // COLUMNS]).astype(np.float32)
