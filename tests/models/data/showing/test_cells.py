from __future__ import annotations

import numpy as np

from models.data.showing.cells import GRID_M, cells

BOUNDS = (-10.0, 10.0, 0.0, 15.0)


def test_cells_hold_their_own_frames() -> None:
    position = np.array([[-9.0, 1.0]] * 5 + [[9.0, 14.0]] * 6)
    grid = cells(position, np.array([1.0, 2, 3, 4, 10] + [7.0] * 6), BOUNDS, "median")
    assert grid.shape == (15 / GRID_M, 20 / GRID_M)
    assert grid[0, 0] == 3.0
    assert grid[-1, -1] == 7.0
    assert np.isnan(np.delete(grid.ravel(), [0, grid.size - 1])).all()


def test_mean_is_the_share_of_a_yes_or_no() -> None:
    grid = cells(np.zeros((8, 2)), np.array([1.0, 0, 0, 0, 0, 0, 0, 1]), BOUNDS, "mean")
    assert grid[0, 2] == 0.25


def test_cell_with_too_few_frames_stays_empty() -> None:
    assert np.isnan(cells(np.zeros((4, 2)), np.ones(4), BOUNDS, "mean")).all()


def test_frames_beyond_the_map_do_not_count() -> None:
    assert np.isnan(cells(np.array([[11.0, 1.0], [-11.0, 1.0], [0.0, -1.0]] * 6), np.ones(18), BOUNDS, "mean")).all()


def test_cell_of_outages_is_infinite() -> None:
    assert np.isposinf(cells(np.zeros((6, 2)), np.full(6, np.inf), BOUNDS, "median")[0, 2])
