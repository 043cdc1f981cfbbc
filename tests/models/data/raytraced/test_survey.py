from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from models.data.raytraced.layouts import LAYOUTS
from models.data.raytraced.streets import GRID_M, Streets
from models.data.raytraced.zones import OFF, OPEN, REGION
from tests.models.data.ray_tracer import need_ray_tracer

need_ray_tracer()

from models.data.raytraced.survey import survey
from models.data.raytraced.world import World
from tests.models.data.raytraced.triangles import Triangles

MUNICH = LAYOUTS["munich"]
NONE = np.zeros((2, 3)), np.zeros(2), np.zeros(2, bool)


def _points(streets: Streets, cells: np.ndarray, up_m: float) -> np.ndarray:
    east_north = cells[:, ::-1] + 0.5 + streets.west_south_m
    return np.column_stack([east_north, streets.ground_m[tuple(cells.T)] + up_m])


def test_heights_are_those_of_what_stands_there(city: World, streets: Streets) -> None:
    triangles = Triangles.of(city, *NONE)
    down = np.array([0.0, 0.0, -1.0])
    probes_m = [np.array([east, north]) for east in (-0.49, 0.0, 0.49) for north in (-0.49, 0.0, 0.49)]
    for row, col in np.random.default_rng(0).integers(0, min(streets.height_m.shape), (20, 2)):
        centre = np.array([col, row]) + 0.5 + streets.west_south_m
        tops = [300 - triangles.first_hit(MUNICH.to_scene(np.array([*(centre + p), 300.0])), down)[0] for p in probes_m]
        assert abs(streets.height_m[row, col] - max(tops)) < 0.01


def test_free_ground_is_one_piece_of_street_within_the_sector(streets: Streets) -> None:
    free = streets.clearance_m > 0
    _, pieces = ndimage.label(free)
    assert pieces == 1
    assert free.sum() * GRID_M**2 > 5000
    np.testing.assert_allclose(streets.height_m[free], 0, atol=0.01)  # Munich is flat
    np.testing.assert_allclose(streets.ground_m, 0, atol=0.01)
    forward, left = MUNICH.site.to_mast(_points(streets, np.argwhere(free), 0.0)[:, :2]).T
    assert np.hypot(forward, left).min() >= MUNICH.range_m[0]
    assert np.hypot(forward, left).max() <= MUNICH.range_m[1]
    assert np.degrees(np.abs(np.arctan2(left, forward))).max() <= MUNICH.sector_deg
    assert ((streets.zone != OFF) == free).all()


def test_clearance_is_the_distance_to_the_nearest_wall(streets: Streets) -> None:
    walls = np.argwhere(streets.height_m > 1)
    for row, col in np.argwhere(streets.clearance_m > 0)[::997]:
        nearest_m = np.hypot(*(walls - [row, col]).T).min() * GRID_M
        assert streets.clearance_m[row, col] <= nearest_m + 1e-9
        assert streets.clearance_m[row, col] > nearest_m - 3  # low walls and steps count, too


def test_hidden_ground_is_what_the_mast_does_not_see(city: World, streets: Streets) -> None:
    triangles = Triangles.of(city, *NONE)
    cells = np.random.default_rng(1).permutation(np.argwhere(streets.clearance_m > 1))[:60]
    wrong = 0
    for (row, col), point in zip(cells, _points(streets, cells, 1.5), strict=True):
        away = MUNICH.to_scene(point) - MUNICH.sensor_m
        reach = np.linalg.norm(away)
        at, _ = triangles.first_hit(MUNICH.sensor_m, away / reach)
        wrong += bool(streets.blocked[row, col]) != (at < reach - 0.01)
    assert wrong == 0
    assert 0.1 < streets.blocked[streets.clearance_m > 0].mean() < 0.6


def test_zones_follow_the_seed(city: World, streets: Streets) -> None:
    np.testing.assert_array_equal(survey(city, seed=2026).zone, streets.zone)
    other = survey(city, seed=1)
    assert not np.array_equal(other.zone, streets.zone)
    np.testing.assert_array_equal(other.clearance_m, streets.clearance_m)
    assert (streets.zone == OPEN).sum() > 3 * (streets.zone == REGION).sum()
    assert math.isclose(streets.west_south_m[0], -math.ceil(MUNICH.range_m[1] + 20))
