from __future__ import annotations

import numpy as np
import pytest

from models.data.raytraced.layouts import LAYOUTS, Layout
from service.contract.captures import CSI_SUBCARRIERS

each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))


@each_layout
def test_scene_frame_is_enu_moved_to_the_mast(layout: Layout) -> None:
    np.testing.assert_array_equal(layout.to_scene(np.zeros((1, 2)))[0], layout.mast_m)
    points = np.array([[1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]])
    moved = layout.to_scene(points)
    np.testing.assert_allclose(moved - points, np.broadcast_to([*layout.mast_m, 0], (2, 3)))
    np.testing.assert_array_equal(points[0], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(layout.sensor_m, [*layout.mast_m, layout.site.mast_height_m])


@each_layout
def test_sensors_reach_the_whole_sector(layout: Layout) -> None:
    near, far = layout.range_m
    assert 0 < near < far
    assert np.hypot(far, layout.site.mast_height_m) < layout.site.range_max_m
    assert layout.site.tasks == ("position", "los")
    assert layout.site.bandwidth_hz
    unambiguous_m = 299_792_458 * CSI_SUBCARRIERS / layout.site.bandwidth_hz
    assert np.hypot(far, layout.site.mast_height_m) < unambiguous_m
