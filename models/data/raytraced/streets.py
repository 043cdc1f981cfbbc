"""Where one can drive and walk: free ground of a layout, and routes over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

GRID_M = 1.0  # edge of a cell
_HIDDEN = 0.5  # how much more often a route starts on ground that buildings hide
_SMOOTH_M = 4.0  # how strongly a route's corners are rounded
_WINDOW_M = 70.0  # half the edge of the square around its start that a route stays in


@dataclass(frozen=True)
class Streets:
    """Free ground of one sector on a grid of `GRID_M`, row 0 in the south.

    Attributes:
        clearance_m: float `[rows, cols]` distance of a cell from the nearest wall, 0 outside the sector.
        west_south_m: ENU of the grid's south-west corner.
        height_m: float `[rows, cols]` ENU height of the highest thing in the cell.
        ground_m: float `[rows, cols]` ENU height of the ground, under buildings that of the nearest street.
        blocked: bool `[rows, cols]` ground that buildings hide from the mast.
        zone: uint8 `[rows, cols]`, see `zones`.
    """

    clearance_m: NDArray[np.float64]
    west_south_m: tuple[float, float]
    height_m: NDArray[np.float64]
    ground_m: NDArray[np.float64]
    blocked: NDArray[np.bool_]
    zone: NDArray[np.uint8]

    @property
    def extent_m(self) -> tuple[float, float, float, float]:
        """West, east, south and north edge in ENU."""
        west, south = self.west_south_m
        rows, cols = self.height_m.shape
        return west, west + cols * GRID_M, south, south + rows * GRID_M

    def at(self, grid: NDArray[np.generic], enu: NDArray[np.floating]) -> NDArray[np.generic]:
        """Values of a grid at ENU points `[N, 2]`, 0 outside."""
        col, row = (np.floor((enu[:, i] - self.west_south_m[i]) / GRID_M).astype(int) for i in (0, 1))
        rows, cols = grid.shape
        inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
        found = np.zeros(len(enu), grid.dtype)
        found[inside] = grid[row[inside], col[inside]]
        return found

    def ground_at(self, enu: NDArray[np.floating]) -> NDArray[np.float64]:
        """Height of the ground at ENU points `[N, 2]`, between the cells' centres by bilinear interpolation."""
        place = [(enu[:, i] - self.west_south_m[i]) / GRID_M - 0.5 for i in (1, 0)]
        return np.asarray(ndimage.map_coordinates(self.ground_m, place, order=1, mode="nearest"))

    def route(
        self, rng: np.random.Generator, clearance_m: float, length_m: float, within: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64] | None:
        """A smooth route between two random free cells, ENU points `[N, 2]` about `GRID_M` apart.

        Routes follow the cheapest way over a random, smooth field of costs, so that no two are alike and open squares
        are crossed in every direction. None where none was found.

        Args:
            clearance_m: least distance from walls.
            length_m: least distance of its ends.
            within: `[rows, cols]` cells that the route must keep to.
        """
        free = self.clearance_m >= clearance_m
        if within is not None:
            free &= within
        cells = np.argwhere(free)
        if len(cells) == 0:
            return None
        # Else the open square would take nearly all the traffic, and hidden side streets nearly none.
        weight = (1.0 + _HIDDEN * self.blocked[free]) / (self.clearance_m[free] + 2.0)
        start = cells[rng.choice(len(cells), p=weight / weight.sum())]
        reach = int(_WINDOW_M / GRID_M)
        low = np.maximum(start - reach, 0)
        window = free[low[0] : start[0] + reach, low[1] : start[1] + reach]
        labels, _ = ndimage.label(window, np.ones((3, 3)))
        begin = start - low
        ends = np.argwhere(labels == labels[tuple(begin)])
        ends = ends[np.linalg.norm(ends - begin, axis=1) * GRID_M >= length_m]
        if len(ends) == 0:
            return None
        end = ends[rng.integers(len(ends))]
        rough = ndimage.gaussian_filter(rng.standard_normal(window.shape), 12.0)
        search = MCP_Geometric(np.where(window, 1.0 + 8.0 * (rough - rough.min()) / np.ptp(rough), -1.0))
        search.find_costs([tuple(begin)], [tuple(end)])
        path = np.array(search.traceback(tuple(end)), np.float64) + low
        points = (path[:, ::-1] + 0.5) * GRID_M + self.west_south_m + rng.uniform(-0.5, 0.5, 2) * GRID_M
        return np.asarray(ndimage.gaussian_filter1d(points, _SMOOTH_M / GRID_M, axis=0, mode="nearest"))
