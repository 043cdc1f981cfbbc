from __future__ import annotations

import numpy as np
import pytest

from models.data.showing.sensor_views import ground_of

SHAPE, FAR_M, MAST_M = (192, 64), 192.0, 27.0


@pytest.mark.parametrize(("forward", "left"), [(60.0, 0.0), (50.0, 45.0), (80.0, -70.0)])
def test_target_on_the_ground_lies_in_the_cell_that_the_radar_puts_it_in(forward: float, left: float) -> None:
    reach = np.sqrt(forward**2 + left**2 + MAST_M**2)
    row = int(reach / FAR_M * SHAPE[0])
    column = int((left / reach + 1) / 2 * SHAPE[1])
    x, y, above = ground_of(SHAPE, FAR_M, MAST_M)
    corners = np.s_[row : row + 2, column : column + 2]
    assert x[corners].min() <= -left <= x[corners].max()  # the plan's x points to the right
    assert y[corners].min() <= forward <= y[corners].max()
    assert not above[row, column]


def test_cells_nearer_than_the_mast_is_high_do_not_reach_the_ground() -> None:
    _, _, above = ground_of(SHAPE, FAR_M, MAST_M)
    assert above[:27].all()
    assert not above[30:, 24:40].any()
