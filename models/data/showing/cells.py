"""Frames gathered in the cells of a map."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from numpy.typing import NDArray

from models.data.showing.plan import Bounds

GRID_M = 5.0
FEWEST = 5  # frames in a cell that is drawn


def cells(
    places: NDArray[np.floating], value: NDArray[np.floating], bounds: Bounds, statistic: str
) -> NDArray[np.float64]:
    """Mean or median of the values in each cell of `GRID_M`, `[rows, columns]`; nan where they are too few.

    Args:
        places: `[N, 2]` on the map; those beyond the bounds do not count.
        value: `[N]`.
        bounds: of the grid; its lower left corner is the corner of the first cell.
        statistic: `"mean"` or `"median"`.
    """
    left, right, bottom, top = bounds
    columns, rows = int(np.ceil((right - left) / GRID_M)), int(np.ceil((top - bottom) / GRID_M))
    column, row = ((places - [left, bottom]) // GRID_M).astype(int).T
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    cell, value = (row * columns + column)[inside], value[inside]
    order = np.argsort(cell, kind="stable")
    found, first = np.unique(cell[order], return_index=True)
    grid = np.full(rows * columns, np.nan)
    for index, low, high in zip(found, first, np.append(first, len(order))[1:], strict=True):
        if high - low >= FEWEST:
            grid[index] = getattr(np, statistic)(value[order[low:high]])
    return grid.reshape(rows, columns)


def draw_cells(axes: Axes, grid: NDArray[np.float64], bounds: Bounds, colours: Colormap, span: Normalize) -> None:
    """Fill the cells of a map; those of nan stay empty, infinite ones take the colour of the end."""
    left, _, bottom, _ = bounds
    rows, columns = grid.shape
    x, y = left + GRID_M * np.arange(columns + 1), bottom + GRID_M * np.arange(rows + 1)
    view = axes.get_xlim(), axes.get_ylim()
    shown = np.ma.masked_invalid(np.clip(grid, -1e9, 1e9))
    axes.pcolormesh(x, y, shown, cmap=colours, norm=span, zorder=3)
    axes.set(xlim=view[0], ylim=view[1])
