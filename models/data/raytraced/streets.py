"""Where one can drive and walk: free ground of a layout, and routes over it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

GRID_M = 1.0  # edge of a cell
_SMOOTH_M = 4.0  # how strongly a route's corners are rounded
_STREET_MAX_M = 0.3  # anything higher is a building


@dataclass(frozen=True)
class Streets:
    """Free ground of one sector on a grid of `GRID_M`.

    Attributes:
        clearance_m: float `[rows, cols]` distance of a cell from the nearest wall or the sector's edge, 0 outside.
        west_south_m: ENU of the grid's south-west corner.
        height_m: float `[rows, cols]` height of whatever stands there.
    """

    clearance_m: NDArray[np.float64]
    west_south_m: tuple[float, float]
    height_m: NDArray[np.float64]

    @property
    def extent_m(self) -> tuple[float, float, float, float]:
        """West, east, south and north edge in ENU."""
        west, south = self.west_south_m
        rows, cols = self.height_m.shape
        return west, west + cols * GRID_M, south, south + rows * GRID_M

    def clearance_at(self, enu: NDArray[np.floating]) -> NDArray[np.float64]:
        """Clearance in metres at points `[N, 2]`, 0 outside the grid."""
        col, row = (np.floor((enu[:, i] - self.west_south_m[i]) / GRID_M).astype(int) for i in (0, 1))
        rows, cols = self.clearance_m.shape
        inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
        found = np.zeros(len(enu))
        found[inside] = self.clearance_m[row[inside], col[inside]]
        return found

    def route(self, rng: np.random.Generator, clearance_m: float) -> NDArray[np.float64] | None:
        """A smooth route between two random free cells, as ENU points `[N, 2]` about `GRID_M` apart.

        Routes follow the cheapest way over a random, smooth field of costs, so that no two are alike and open squares
        are crossed in every direction. None where no route of 20 m or more was found.
        """
        free = self.clearance_m >= clearance_m
        rough = ndimage.gaussian_filter(rng.standard_normal(free.shape), 12.0)
        cost = np.where(free, 1.0 + 8.0 * (rough - rough.min()) / np.ptp(rough), -1.0)
        cells = np.argwhere(free)
        if len(cells) == 0:
            return None
        narrow = 1.0 / (self.clearance_m[free] + 2.0)  # else the open square would take nearly all the traffic
        start, end = cells[rng.choice(len(cells), size=2, p=narrow / narrow.sum())]
        search = MCP_Geometric(cost)
        search.find_costs([tuple(start)], [tuple(end)])
        try:
            path = np.array(search.traceback(tuple(end)), np.float64)
        except ValueError:  # not connected at this clearance
            return None
        if len(path) * GRID_M < 20.0:
            return None
        points = (path[:, ::-1] + 0.5) * GRID_M + self.west_south_m + rng.uniform(-0.5, 0.5, 2) * GRID_M
        return np.asarray(ndimage.gaussian_filter1d(points, _SMOOTH_M / GRID_M, axis=0, mode="nearest"))


def streets_of(
    height_m: NDArray[np.float64],
    west_south_m: tuple[float, float],
    street_m: tuple[float, float],
    boresight_rad: float,
    sector_deg: float,
    range_m: tuple[float, float],
) -> Streets:
    """Free ground within a sector, connected to `street_m` (ENU), from a height map on the grid.

    Args:
        height_m: `[rows, cols]` height of the highest surface in each cell, row 0 in the south.
        boresight_rad: counter-clockwise from east.
    """
    rows, cols = height_m.shape
    east = west_south_m[0] + (np.arange(cols) + 0.5) * GRID_M
    north = west_south_m[1] + (np.arange(rows) + 0.5) * GRID_M
    x, y = np.meshgrid(east, north)
    off = np.abs((np.arctan2(y, x) - boresight_rad + math.pi) % (2 * math.pi) - math.pi)
    distance = np.hypot(x, y)
    street = height_m < _STREET_MAX_M
    labels, _ = ndimage.label(street)
    col, row = (int((street_m[i] - west_south_m[i]) // GRID_M) for i in (0, 1))
    street &= labels == labels[row, col]
    wall_m = ndimage.distance_transform_edt(street) * GRID_M
    sector = (off <= math.radians(sector_deg)) & (distance >= range_m[0]) & (distance <= range_m[1])
    return Streets(np.where(sector, wall_m, 0.0), west_south_m, height_m)
