from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.raytraced.streets import GRID_M, Streets
from tests.models.data.raytraced.town import town

WEST_SOUTH_M = (-60.0, -60.0)


def _houses() -> NDArray[np.bool_]:
    """A house, and another one with a courtyard, on a square of 120 m."""
    houses = np.zeros((120, 120), bool)
    houses[50:70, 75:85] = True
    houses[75:95, 90:110] = True
    houses[80:90, 95:105] = False
    return houses


@pytest.fixture(scope="module")
def streets() -> Streets:
    return town(_houses(), WEST_SOUTH_M)


def test_values_are_looked_up_in_the_cell_that_holds_the_point(streets: Streets) -> None:
    assert streets.extent_m == (-60, 60, -60, 60)
    points = np.array([[30.2, -19.9], [59.99, -60.0], [-1e3, 0.0], [60.0, 0.0], [0.0, 1e3]])
    found = streets.at(streets.clearance_m, points)
    assert found[0] == streets.clearance_m[40, 90]
    assert found[1] == streets.clearance_m[0, 119]
    assert found[2:].tolist() == [0, 0, 0]


def test_ground_is_continuous_between_the_cells() -> None:
    rows, cols = np.indices((120, 120))
    slope = town(np.zeros((120, 120), bool), WEST_SOUTH_M, ground_m=0.1 * (cols - 60.0) - 0.05 * (rows - 60.0))
    points = np.random.default_rng(0).uniform(-50, 50, (200, 2))
    np.testing.assert_allclose(slope.ground_at(points), 0.1 * (points[:, 0] - 0.5) - 0.05 * (points[:, 1] - 0.5))


def test_routes_stay_on_free_ground_and_are_walked_in_small_steps(streets: Streets) -> None:
    rng = np.random.default_rng(0)
    found = [route for _ in range(20) if (route := streets.route(rng, 3.0, 20.0)) is not None]
    assert len(found) > 10
    for route in found:
        step = np.hypot(*np.diff(route, axis=0).T)
        assert step.max() < 2 * GRID_M
        assert np.hypot(*(route[-1] - route[0])) > 15  # smoothing draws the ends in a little
        clearance = streets.at(streets.clearance_m, route)
        assert clearance.min() > 1.0  # corners are rounded, by less than the clearance
        assert (clearance >= 3.0).mean() > 0.7


def test_routes_keep_to_the_cells_that_they_are_given(streets: Streets) -> None:
    within = np.zeros((120, 120), bool)
    within[5:40, 10:50] = True
    rng = np.random.default_rng(1)
    routes = [route for _ in range(10) if (route := streets.route(rng, 1.0, 15.0, within)) is not None]
    assert len(routes) > 5
    for route in routes:
        assert streets.at(within, route).mean() > 0.97
        assert (route > [-51, -56]).all()
        assert (route < [-9, -19]).all()


def test_courtyard_has_no_route_out(streets: Streets) -> None:
    inside = np.zeros((120, 120), bool)
    inside[80:90, 95:105] = True
    around = _houses() | np.pad(np.zeros((116, 116), bool), 2)
    shut = replace(streets, clearance_m=np.where(inside | ~around, streets.clearance_m, 0))
    assert shut.route(np.random.default_rng(0), 1.0, 40.0, within=inside) is None
    assert shut.route(np.random.default_rng(0), 1.0, 5.0, within=inside) is not None


def test_hidden_ground_is_chosen_more_often(streets: Streets) -> None:
    even = replace(streets, clearance_m=np.full((120, 120), 5.0), blocked=np.indices((120, 120))[1] < 60)
    rng = np.random.default_rng(3)
    starts = [route[0, 0] for _ in range(60) if (route := even.route(rng, 1.0, 2.0)) is not None]
    assert 0.5 < np.mean(np.array(starts) < 0) < 0.75  # 0.6 by design


def test_routes_are_reproducible_and_all_different(streets: Streets) -> None:
    first, again = (streets.route(np.random.default_rng(4), 2.0, 10.0) for _ in range(2))
    other = streets.route(np.random.default_rng(5), 2.0, 10.0)
    assert first is not None
    assert other is not None
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)


def test_place_too_small_or_too_narrow_has_no_route(streets: Streets) -> None:
    yard = town(np.pad(np.zeros((4, 10), bool), 10, constant_values=True), (0.0, 0.0))
    assert yard.route(np.random.default_rng(0), 1.0, 5.0) is not None
    assert yard.route(np.random.default_rng(0), 1.0, 20.0) is None
    assert yard.route(np.random.default_rng(0), 4.0, 5.0) is None
    assert streets.route(np.random.default_rng(0), 1000.0, 1.0) is None
