from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.models.data.ray_tracer import need_ray_tracer
from tests.models.data.showing.small_set import SITE, small_set

need_ray_tracer()

from models.data.raytraced.frontend import TX_POWER_DBM
from models.data.showing.coverage import GRID_M, cells
from models.data.showing.frames import counts, gather

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


def test_set_is_counted_by_part_and_blocker(tmp_path: Path) -> None:
    figures = counts(gather(small_set(tmp_path, (0, 1, 13, 16)), quiet=True))
    assert (figures["episodes"], figures["snapshots"], figures["frames"]) == (4, 8, 16)
    parts = dict(figures["parts"])
    assert {name: part["frames"] for name, part in parts.items()} == {"train": 8, "val": 4, "test": 4}
    assert parts["test"]["blockers"] == {
        "line of sight": 2, "blocked by building": 2, "blocked by vehicle": 0, "blocked by person": 0,
    }  # fmt: skip
    assert figures["outages"] == 8
    assert figures["below_noise"] == 8


def test_power_is_that_of_the_clean_channel_and_none_in_an_outage(tmp_path: Path) -> None:
    shards = small_set(tmp_path, (0,))
    frames = gather(shards, quiet=True)
    gain = shards.read(0)["csi_gain"][0, 0].astype(float)
    expected = TX_POWER_DBM + 10 * np.log10((gain[..., 0] ** 2 + gain[..., 1] ** 2).mean())
    np.testing.assert_allclose(frames.power_dbm[0], expected)
    assert np.isneginf(frames.power_dbm[frames.outage]).all()


def test_range_is_slant_from_the_top_of_the_mast(tmp_path: Path) -> None:
    frames = gather(small_set(tmp_path, (0,)), quiet=True)
    np.testing.assert_allclose(frames.range_m[0], np.hypot(60.0, SITE.mast_height_m - 1.7), rtol=1e-5)
