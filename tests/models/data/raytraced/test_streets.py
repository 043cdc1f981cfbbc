from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.raytraced.streets import GRID_M, Streets, streets_of

WEST_SOUTH_M = (-60.0, -60.0)
SECTOR_DEG, RANGE_M = 60.0, (10.0, 55.0)


def _city() -> NDArray[np.float64]:
    """120 x 120 m of street with a house in front of the mast, which looks east, and one with a courtyard behind."""
    height = np.zeros((120, 120))
    height[50:70, 75:85] = 12.0  # east 15 to 25 m, north -10 to 10 m
    height[75:95, 90:110] = 9.0
    height[80:90, 95:105] = 0.0
    return height


@pytest.fixture(scope="module")
def streets() -> Streets:
    return streets_of(_city(), WEST_SOUTH_M, (30.0, -20.0), 0.0, SECTOR_DEG, RANGE_M)


def _cells(streets: Streets) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    west, east, south, north = streets.extent_m
    axis = (np.arange(west, east, GRID_M) + GRID_M / 2, np.arange(south, north, GRID_M) + GRID_M / 2)
    x, y = np.meshgrid(*axis)
    return x, y


def test_free_ground_is_street_within_the_sector(streets: Streets) -> None:
    x, y = _cells(streets)
    free = streets.clearance_m > 0
    assert free.any()
    assert (_city()[free] == 0).all()
    assert np.hypot(x, y)[free].min() >= RANGE_M[0]
    assert np.hypot(x, y)[free].max() <= RANGE_M[1]
    assert np.degrees(np.abs(np.arctan2(y, x)))[free].max() <= SECTOR_DEG


def test_courtyard_is_no_street(streets: Streets) -> None:
    courtyard = np.array([[40.0, 25.0]])
    assert 0 < np.hypot(*courtyard[0]) < RANGE_M[1]
    assert streets.clearance_at(courtyard) == 0
    inside = streets_of(_city(), WEST_SOUTH_M, (40.0, 25.0), 0.0, SECTOR_DEG, RANGE_M)  # seen from the courtyard
    assert inside.clearance_at(courtyard) > 0
    assert inside.clearance_at(np.array([[30.0, -20.0]])) == 0


def test_clearance_is_the_distance_to_the_nearest_wall(streets: Streets) -> None:
    city = _city()
    city[80:90, 95:105] = 9.0  # the courtyard is as good as a wall
    blocked = np.argwhere(city > 0)
    for row, col in np.argwhere(streets.clearance_m > 0)[::97]:
        expected = np.hypot(*(blocked - [row, col]).T).min() * GRID_M
        assert streets.clearance_m[row, col] == pytest.approx(expected)


def test_clearance_is_looked_up_in_the_cell_that_holds_the_point(streets: Streets) -> None:
    points = np.array([[30.2, -19.9], [-1e3, 0.0], [60.0, 0.0], [0.0, 1e3]])
    found = streets.clearance_at(points)
    assert found[0] == streets.clearance_m[40, 90]
    assert found[1:].tolist() == [0, 0, 0]


@pytest.mark.parametrize("boresight_deg", [0, 90, 170, -120])
def test_sector_turns_with_the_boresight_across_the_cut_of_the_angle(boresight_deg: int) -> None:
    turned = streets_of(np.zeros((120, 120)), WEST_SOUTH_M, (0.5, 0.5), math.radians(boresight_deg), 30.0, RANGE_M)
    x, y = _cells(turned)
    free = turned.clearance_m > 0
    mean = math.degrees(math.atan2(y[free].mean(), x[free].mean()))
    assert abs((mean - boresight_deg + 180) % 360 - 180) < 1
    assert free.sum() == pytest.approx(math.pi * (55**2 - 10**2) / 6, rel=0.03)


def test_routes_stay_on_free_ground_and_are_walked_in_small_steps(streets: Streets) -> None:
    rng = np.random.default_rng(0)
    routes = [streets.route(rng, 3.0) for _ in range(20)]
    found = [route for route in routes if route is not None]
    assert len(found) > 10
    for route in found:
        step = np.hypot(*np.diff(route, axis=0).T)
        assert len(route) >= 20
        assert step.max() < 2 * GRID_M
        assert (streets.clearance_at(route) > 0).mean() > 0.9  # corners are rounded, by less than the clearance
        assert streets.clearance_at(route).max() >= 3.0


def test_routes_are_reproducible_and_all_different(streets: Streets) -> None:
    first, again = (streets.route(np.random.default_rng(4), 2.0) for _ in range(2))
    other = streets.route(np.random.default_rng(5), 2.0)
    assert first is not None
    assert other is not None
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)


def test_place_too_small_for_a_route_has_none() -> None:
    height = np.full((120, 120), 10.0)
    height[58:62, 80:90] = 0.0
    yard = streets_of(height, WEST_SOUTH_M, (25.0, 0.5), 0.0, SECTOR_DEG, RANGE_M)
    assert (yard.clearance_m > 0).any()
    assert yard.route(np.random.default_rng(0), 1.0) is None


def test_place_too_narrow_for_a_body_has_no_route_for_it(streets: Streets) -> None:
    assert streets.route(np.random.default_rng(0), 1000.0) is None
