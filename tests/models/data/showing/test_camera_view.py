from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.models.data.ray_tracer import need_ray_tracer
from tests.models.data.showing.small_set import CAR, PERSON, SITE, TRUCK, small_set

need_ray_tracer()

from models.data.raytraced import optics
from models.data.showing.camera_view import boxes_px, project, seen_bodies
from models.data.showing.instant import Instant, read_instant

NO_UE_SEES_THE_MAST = 1  # blocked by a building


@pytest.fixture
def instant(tmp_path: Path) -> Instant:
    return read_instant(small_set(tmp_path, (16,)), 16, 1)


def _blocked(instant: Instant, blocker: int) -> Instant:
    return replace(instant, ues=tuple(replace(ue, blocker=blocker) for ue in instant.ues))


def _sweep(wall_m: float | None = None) -> NDArray[np.float32]:
    """Returns of the real rays on flat ground, and on a wall across the boresight at a distance, if there is one."""
    directions, ring = optics._lidar_rays(SITE)
    reach = -SITE.mast_height_m / directions[:, 2]
    if wall_m is not None:
        forward = SITE.to_mast(directions)[:, 0]
        reach = np.minimum(reach, wall_m / forward)
    points = directions * reach[:, None] + [0.0, 0.0, SITE.mast_height_m]
    return np.column_stack([points, np.zeros(len(ring)), ring]).astype(np.float32)


def test_projection_is_the_inverse_of_the_rays_that_the_camera_casts() -> None:
    directions = optics._camera_rays(SITE)
    oversampled = round(np.sqrt(len(directions) / (optics.CAMERA_ROWS * optics.CAMERA_COLS)))
    points = 40.0 * directions + [0.0, 0.0, SITE.mast_height_m]
    pixel, depth = project(SITE, points)
    rows, cols = optics.CAMERA_ROWS * oversampled, optics.CAMERA_COLS * oversampled
    row, col = np.divmod(np.arange(rows * cols), cols)
    np.testing.assert_allclose(pixel, (np.column_stack([col, row]) + 0.5) / oversampled, atol=1e-9)
    assert (depth > 0).all()


def test_point_behind_the_camera_has_no_depth() -> None:
    _, depth = project(SITE, SITE.to_enu(np.array([[-30.0, 0.0, 0.0]])))
    assert depth[0] < 0


def test_box_holds_the_mesh_and_the_left_of_the_scene_is_the_left_of_the_frame(instant: Instant) -> None:
    boxes = boxes_px(instant, [CAR, PERSON, TRUCK])
    for body, (left, right, top, bottom) in boxes.items():
        pixel, _ = project(SITE, instant.corners_m(body))
        assert left == pytest.approx(pixel[:, 0].min())
        assert right == pytest.approx(pixel[:, 0].max())
        assert (top, bottom) == pytest.approx((pixel[:, 1].min(), pixel[:, 1].max()))
    assert boxes[PERSON][1] < boxes[CAR][0] < boxes[TRUCK][0]


def test_body_beside_the_frame_has_no_box(instant: Instant) -> None:
    pose = instant.pose.copy()
    pose[TRUCK, :2] = SITE.to_enu(np.array([10.0, 90.0]))
    assert TRUCK not in boxes_px(replace(instant, pose=pose), [CAR, PERSON, TRUCK])


def test_bodies_on_open_ground_are_seen(instant: Instant) -> None:
    assert CAR in seen_bodies(_blocked(replace(instant, lidar=_sweep()), NO_UE_SEES_THE_MAST))
    assert TRUCK in seen_bodies(replace(instant, lidar=_sweep()))


def test_only_bodies_before_a_wall_are_seen(instant: Instant) -> None:
    hidden = _blocked(replace(instant, lidar=_sweep(wall_m=70.0)), NO_UE_SEES_THE_MAST)
    assert seen_bodies(hidden) == [CAR]


def test_line_of_sight_of_its_ue_outweighs_the_lidar(instant: Instant) -> None:
    assert seen_bodies(_blocked(replace(instant, lidar=_sweep(wall_m=30.0)), 0)) == [CAR, PERSON]


def test_absent_body_is_not_seen(instant: Instant) -> None:
    present = np.array([True, True, False])
    assert TRUCK not in seen_bodies(replace(instant, lidar=_sweep(), present=present))


def test_small_body_that_no_ray_meets_goes_by_what_blocks_its_ue(instant: Instant) -> None:
    empty = replace(instant, lidar=np.zeros((0, 5), np.float32))
    assert PERSON not in seen_bodies(_blocked(empty, 1))
    assert PERSON in seen_bodies(_blocked(empty, 3))
