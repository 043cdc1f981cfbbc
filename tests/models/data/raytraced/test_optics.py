from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from models.data.raytraced.layouts import LAYOUTS
from models.data.raytraced.lidar_image import lidar_points
from tests.models.data.ray_tracer import need_ray_tracer

need_ray_tracer()

from models.data.raytraced import optics
from models.data.raytraced.world import World
from tests.models.data.raytraced.triangles import Triangles

MUNICH = LAYOUTS["munich"]
SITE = MUNICH.site
BOTH, NO_ONE, FLAT = np.ones(2, bool), np.zeros(2, bool), np.zeros(2)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _white() -> optics.Light:
    return replace(optics.Light.draw(2, _rng()), paint=np.full((2, 3), 0.95), exposure=1.0)


def _pixel(enu: NDArray[np.float64]) -> NDArray[np.float64]:
    """Column and row `[N, 2]` at which a pinhole camera, pitched down, sees ENU points `[N, 3]`."""
    forward, left, up = SITE.to_mast(enu - [0, 0, SITE.mast_height_m]).T
    c, s = (f(math.radians(optics.CAMERA_PITCH_DEG)) for f in (math.cos, math.sin))
    depth, height = c * forward + s * up, c * up - s * forward
    per_pixel = math.tan(math.radians(optics.CAMERA_HFOV_DEG / 2)) / 160
    return np.stack([160 - left / depth / per_pixel, 80 - height / depth / per_pixel], 1)


def test_lidar_returns_lie_on_the_first_surface_in_their_direction(city: World, spot: NDArray[np.float64]) -> None:
    pose = np.array([[*spot, 0.3], [spot[0] + 7.0, spot[1], 0.0]])
    city.place(pose, FLAT, BOTH)
    points = lidar_points(*optics.lidar_sweep(city, _rng()), SITE).astype(np.float64)
    triangles = Triangles.of(city, pose, FLAT, BOTH)
    away = points[:, :3] - [0, 0, SITE.mast_height_m]
    reach = np.linalg.norm(away, axis=1)
    anywhere = _rng(1).choice(len(points), 100, replace=False)
    around = np.flatnonzero(np.hypot(*(points[:, :2] - spot).T) < 9)
    for some in (anywhere, around):
        expected = [triangles.first_hit(MUNICH.sensor_m, away[i] / reach[i])[0] for i in some]
        error = reach[some] - expected
        grazing = (
            np.abs(error) > 6 * optics.LIDAR_NOISE_M
        )  # rays are rounded to single precision: an edge may be missed
        assert grazing.sum() <= 2
        assert error[~grazing].std() == pytest.approx(optics.LIDAR_NOISE_M, rel=0.3)
    assert reach.max() < SITE.range_max_m + 0.1
    assert points[around, 2].max() == pytest.approx(3.2, abs=0.1)  # the roof of the bus


def test_lidar_loses_some_returns_and_tells_surfaces_apart(city: World, spot: NDArray[np.float64]) -> None:
    city.place(np.array([[*spot, 0.3], [0, 0, 0]]), FLAT, np.array([True, False]))
    sweeps = [optics.lidar_sweep(city, _rng(seed)) for seed in (0, 1)]
    there = np.stack([steps > 0 for steps, _ in sweeps])
    assert (there[0] != there[1])[there.any(0)].mean() == pytest.approx(2 * 0.02 * 0.98, rel=0.25)
    points = lidar_points(*sweeps[0], SITE)
    on_bus = (np.hypot(*(points[:, :2] - spot).T) < 4) & (points[:, 2] > 3)
    street = (np.hypot(*(points[:, :2] - spot).T) < 12) & (points[:, 2] < 0.1)
    assert on_bus.sum() > 5
    assert np.median(points[on_bus, 3]) > 1.5 * np.median(points[street, 3])


def test_camera_shows_a_bus_in_its_box(city: World, spot: NDArray[np.float64]) -> None:
    pose = np.array([[*spot, 0.3], [0, 0, 0]])
    pictures, frames = [], []
    for present in (False, True):
        city.place(pose, FLAT, np.array([present, False]))
        frames.append(optics.camera_frame(city, _white(), _rng(1)))
        pictures.append(simplejpeg.decode_jpeg(frames[-1].jpeg).astype(float))
    assert pictures[0].shape == (160, 320, 3)
    assert pictures[0].std() > 10
    row, col = np.argwhere(np.abs(pictures[1] - pictures[0]).max(-1) > 40).T
    assert len(row) > 30
    (middle,) = _pixel(np.array([[*spot, 1.6]]))
    assert [np.median(col), np.median(row)] == pytest.approx(middle.tolist(), abs=10)
    left, top, right, bottom = frames[1].box_px[0]
    inside = (col >= left - 1) & (col <= right) & (row >= top - 1) & (row <= bottom)
    assert inside.mean() > 0.8  # the rest is its shadow, and what the JPEG does to edges
    # Its sides are in the shade, and no brighter than the street.
    assert 0.8 * inside.sum() < frames[1].share[0] * 160 * 320 < (right - left) * (bottom - top)
    assert (frames[0].box_px == -1).all()
    assert (frames[1].box_px[1] == -1).all()
    assert frames[0].share.tolist() == [0, 0]


def test_box_holds_the_corners_of_a_body_in_full_view(city: World, spot: NDArray[np.float64]) -> None:
    city.place(np.array([[*spot, 0.3], [0, 0, 0]]), FLAT, np.array([True, False]))
    box = optics.camera_frame(city, _white(), _rng()).box_px[0]
    c, s = math.cos(0.3), math.sin(0.3)
    corners = np.array([[x, y, z] for x in (-6, 6) for y in (-1.27, 1.27) for z in (0.3, 3.2)])
    seen = _pixel(corners @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + [*spot, 0])
    assert box.tolist() == pytest.approx([*seen.min(0), *seen.max(0)], abs=1.1)


def test_box_of_a_hidden_body_is_empty(city: World, spot: NDArray[np.float64]) -> None:
    towards = spot / np.hypot(*spot)
    heading = math.atan2(*towards[::-1]) + math.pi / 2
    city.place(np.array([[*spot, heading], [*(spot + 1.9 * towards), heading]]), FLAT, BOTH)
    frame = optics.camera_frame(city, _white(), _rng())
    assert frame.share[0] > 0
    assert frame.share[1] == 0
    assert (frame.box_px[1] == -1).all()


def test_light_differs_from_episode_to_episode(city: World, spot: NDArray[np.float64]) -> None:
    city.place(np.array([[*spot, 0.3], [0, 0, 0]]), FLAT, BOTH)
    means = []
    for seed in range(4):
        frame = optics.camera_frame(city, optics.Light.draw(2, _rng(seed)), _rng())
        means.append(simplejpeg.decode_jpeg(frame.jpeg).mean())
    assert np.ptp(means) > 8
    again = [optics.camera_frame(city, _white(), _rng(s)).jpeg for s in (0, 0, 1)]
    assert again[0] == again[1] != again[2]
    city.clear()
