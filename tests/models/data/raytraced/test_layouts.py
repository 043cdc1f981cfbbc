from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from models.data.raytraced.layouts import LAYOUTS, Layout
from models.data.raytraced.paths import DELAY_WINDOW_S

each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))


def test_three_cities_have_two_sites_and_the_reserved_one_has_one() -> None:
    count = Counter(layout.scene for layout in LAYOUTS.values())
    assert count == {"munich": 2, "etoile": 2, "florence": 2, "san_francisco": 1}
    assert [layout.site.name for layout in LAYOUTS.values()] == list(LAYOUTS)


def test_sites_of_one_city_serve_different_ground() -> None:
    for name, layout in LAYOUTS.items():
        for other_name, other in LAYOUTS.items():
            if name < other_name and layout.scene == other.scene:
                apart_m = np.linalg.norm(np.subtract(layout.foot_m, other.foot_m))
                middle = [
                    np.array(a.foot_m[:2]) + a.site.to_enu(np.array([a.range_m[1] / 2, 0.0])) for a in (layout, other)
                ]
                assert apart_m > 150
                assert np.linalg.norm(middle[0] - middle[1]) > 150


@each_layout
def test_scene_frame_is_enu_moved_to_the_mast(layout: Layout) -> None:
    np.testing.assert_array_equal(layout.to_scene(np.zeros((1, 3)))[0], layout.foot_m)
    points = np.array([[1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]])
    moved = layout.to_scene(points)
    np.testing.assert_allclose(moved - points, np.broadcast_to(layout.foot_m, (2, 3)))
    np.testing.assert_allclose(layout.to_enu(moved), points)
    np.testing.assert_array_equal(points[0], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(layout.sensor_m, np.add(layout.foot_m, [0, 0, layout.site.mast_height_m]))


@each_layout
def test_sensors_reach_the_whole_sector(layout: Layout) -> None:
    near, far = layout.range_m
    assert 0 < near < far
    assert np.hypot(far, layout.site.mast_height_m) < layout.site.range_max_m
    assert np.hypot(far, layout.site.mast_height_m) < 299_792_458 * DELAY_WINDOW_S
    assert layout.site.tasks == ("position", "los")
