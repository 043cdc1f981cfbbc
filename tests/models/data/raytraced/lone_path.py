"""The simplest links there are."""

from __future__ import annotations

import numpy as np

from models.data.raytraced.bands import BANDS
from models.data.raytraced.paths import Paths


def lone_path(gain_db: float, delay_s: float = 3e-7, angle_rad: tuple[float, float] = (0.0, 0.0)) -> Paths:
    """One link of one direct path, of the same gain at every band, that leaves the site at an azimuth and elevation."""
    return Paths(
        offset=np.array([0, 1]),
        gain=np.full((1, len(BANDS)), 10 ** (gain_db / 20), np.complex64),
        delay_s=np.array([delay_s], np.float32),
        site_angle=np.array([angle_rad], np.float32),
        ue_angle=np.zeros((1, 2), np.float32),
        rate_mps=np.zeros(1, np.float32),
        kind=np.zeros((1, 4), np.uint8),
        vertex_m=np.full((1, 4, 3), np.nan, np.float32),
    )


def outage() -> Paths:
    """One link without any path."""
    path = lone_path(0)
    rest = {name: values[:0] for name, values in vars(path).items() if name != "offset"}
    return Paths(offset=np.array([0, 0]), **rest)
