from __future__ import annotations

import numpy as np
import pytest

from models.data.raytraced.beams import fan, ground_rings
from models.data.raytraced.layouts import LAYOUTS
from models.data.raytraced.lidar_image import COLUMNS, HFOV_DEG, RINGS, STEP_M, lidar_points, lidar_rays
from service.contract.captures import LIDAR_MAX_POINTS

SITE = LAYOUTS["munich"].site
NOTHING = np.zeros((RINGS, COLUMNS), np.uint16), np.zeros((RINGS, COLUMNS), np.uint8)


def test_rays_to_the_ground_meet_it_at_equal_steps() -> None:
    rings = ground_rings(SITE, 16.0, 190.0, 44)
    reach = SITE.mast_height_m / np.tan(-rings)
    np.testing.assert_allclose(np.diff(reach), (190 - 16) / 43)
    rays = SITE.to_mast(fan(SITE, np.radians([60.0, 0.0, -60.0]), rings))
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1)
    np.testing.assert_allclose(np.degrees(np.arctan2(rays[:3, 1], rays[:3, 0])), [60, 0, -60], atol=1e-9)
    np.testing.assert_allclose(rays[::3, 2], np.sin(rings))


def test_image_is_as_wide_as_the_field_and_runs_from_left_to_right() -> None:
    mast = SITE.to_mast(lidar_rays(SITE)).reshape(RINGS, COLUMNS, 3)
    left_deg = np.degrees(np.arctan2(mast[..., 1], mast[..., 0]))
    np.testing.assert_allclose(left_deg[:, [0, -1]], [[HFOV_DEG / 2, -HFOV_DEG / 2]] * RINGS)
    assert (np.diff(left_deg, axis=1) < 0).all()
    assert (np.diff(mast[:, 0, 2]) > 0).all()  # ring 0 is the lowest


def test_points_lie_along_their_rays_at_their_ranges() -> None:
    steps, intensity = (image.copy() for image in NOTHING)
    steps[3, 17], intensity[3, 17] = 10_000, 51
    steps[40, 200], intensity[40, 200] = 25_000, 255
    points = lidar_points(steps, intensity, SITE)
    assert points.dtype == np.float32
    for point, ring, column, reach_m, strength in zip(
        points, (3, 40), (17, 200), (40.0, 100.0), (0.2, 1.0), strict=True
    ):
        expected = lidar_rays(SITE).reshape(RINGS, COLUMNS, 3)[ring, column] * reach_m + [0, 0, SITE.mast_height_m]
        np.testing.assert_allclose(point[:3], expected, atol=1e-4)
        assert point[3:].tolist() == pytest.approx([strength, ring])


def test_sweep_without_returns_has_no_points_and_a_full_one_fits_the_contract() -> None:
    assert lidar_points(*NOTHING, SITE).shape == (0, 5)
    assert RINGS * COLUMNS <= LIDAR_MAX_POINTS
    assert np.iinfo(np.uint16).max * STEP_M > SITE.range_max_m
