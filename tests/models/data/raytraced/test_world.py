from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.raytraced.layouts import LAYOUTS
from tests.models.data.ray_tracer import need_ray_tracer

need_ray_tracer()

from models.data.raytraced.world import CITY, World
from tests.models.data.raytraced.triangles import Triangles

MUNICH = LAYOUTS["munich"]
POSE = np.array([[60.0, 75.0, 0.3], [64.0, 81.0, 1.0]])
GROUND_M = np.array([0.5, 1.5])  # so that a height that is forgotten shows
BOTH = np.ones(2, bool)


@pytest.fixture(scope="module")
def way() -> NDArray[np.float64]:
    """Directions from the mast, some towards the bodies and some anywhere."""
    rng = np.random.default_rng(0)
    goals = np.concatenate([POSE[[0, 1] * 60, :2] + rng.normal(0, 2, (120, 2)), rng.uniform(-150, 150, (120, 2))])
    away = np.column_stack([goals, rng.uniform(0, 5, 240)]) - [0, 0, MUNICH.site.mast_height_m]
    return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True))


def test_rays_meet_what_rays_in_plain_numpy_meet(city: World, way: NDArray[np.float64]) -> None:
    city.place(POSE, GROUND_M, BOTH)
    hits = city.cast(MUNICH.sensor_m, way)
    triangles = Triangles.of(city, POSE, GROUND_M, BOTH)
    expected = [triangles.first_hit(MUNICH.sensor_m, direction) for direction in way]
    distance, body = (np.array(values) for values in zip(*expected, strict=True))
    same = np.isclose(hits.distance_m, distance, atol=0.02) | (np.isinf(hits.distance_m) & np.isinf(distance))
    assert same.sum() >= 238  # rays are rounded to single precision: an edge may be missed
    assert (hits.body == body)[same].all()
    assert {0, 1, CITY} == set(hits.body.tolist())
    assert ((hits.normal * way).sum(1)[np.isfinite(distance)] <= 0).all()
    flat = hits.ground & same
    assert flat.any()
    np.testing.assert_allclose((MUNICH.sensor_m + way * hits.distance_m[:, None])[flat, 2], 0, atol=0.01)
    np.testing.assert_allclose(hits.normal[flat], [[0, 0, 1]] * int(flat.sum()), atol=1e-6)


def test_bodies_go_where_they_are_put_and_away_again(city: World, way: NDArray[np.float64]) -> None:
    city.place(POSE, GROUND_M, np.array([True, False]))
    assert set(city.cast(MUNICH.sensor_m, way).body.tolist()) == {0, CITY}
    city.clear()
    assert set(city.cast(MUNICH.sensor_m, way).body.tolist()) == {CITY}


def test_sight_ends_at_what_stands_between(city: World) -> None:
    city.clear()
    behind = MUNICH.to_scene(np.array([[*POSE[0, :2], 1.0]]))
    free = city.sees(MUNICH.sensor_m, behind)
    city.place(POSE, GROUND_M * 0, np.array([True, False]))  # now the point is in the bus
    assert free.tolist() == [True]
    assert city.sees(MUNICH.sensor_m, behind).tolist() == [False]
    city.clear()
