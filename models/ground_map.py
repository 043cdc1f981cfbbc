"""Heights of what stands around a site, for the map of the demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.data.schema import Arrays


def write_map(ground: Arrays, path: Path) -> None:
    """Write `height` float16 `[N, E]` m and `extent` (west, east, south, north) m, in cells of 1 m."""
    height = ground["height_m"]
    west, south = ground["west_south_m"]
    extent = np.array([west, west + height.shape[1], south, south + height.shape[0]])
    np.savez_compressed(path, height=height.astype(np.float16), extent=extent)
