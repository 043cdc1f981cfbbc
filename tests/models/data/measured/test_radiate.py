from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data.measured import radiate
from models.data.measured.files import BadFile
from tests.models.data.measured.shared import measured
from tests.models.data.measured.tiny import write_radiate


def test_captures_have_their_own_points_and_pictures(tmp_path: Path) -> None:
    write_radiate(tmp_path)
    sample = radiate.SET.load(tmp_path, "sample")
    assert [len(points) for points in sample.inputs["lidar"]] == list(range(1, 9))
    assert all((points == len(points)).all() for points in sample.inputs["lidar"])
    np.testing.assert_array_equal(sample.inputs["camera"][:, 5, 5, 0], range(8))
    np.testing.assert_array_equal(sample.labels["time_s"][:, 0], range(8))


def test_radar_is_turned_to_azimuth_by_range(tmp_path: Path) -> None:
    write_radiate(tmp_path)
    radar = radiate.SET.load(tmp_path, "sample").inputs["radar"]
    assert radar.shape == (8, 400, 576)
    assert (radar[:, :, 0] == 200).all()
    assert not radar[:, :, 1:].any()


def test_counts_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    write_radiate(tmp_path)
    with np.load(tmp_path / "lidar_f32.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(tmp_path / "lidar_f32.npz", **{**arrays, "points": arrays["points"][:-1]})
    with pytest.raises(BadFile, match=r"lidar_f32\.npz: expected counts that add up to 35 points"):
        radiate.SET.load(tmp_path, "sample")


def test_missing_or_other_picture_is_named(tmp_path: Path) -> None:
    write_radiate(tmp_path)
    Image.new("L", (400, 400)).save(tmp_path / "radar_polar_3.png")
    with pytest.raises(BadFile, match=r"radar_polar_3\.png: expected an image L of \(400, 576\)"):
        radiate.SET.load(tmp_path, "sample")
    (tmp_path / "camera_7.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"camera_7\.png"):
        radiate.SET.load(tmp_path, "sample")


def test_real_captures_are_of_one_instant_and_near_is_bright() -> None:
    sample = radiate.SET.load(measured("radiate_sample"), "sample")
    assert sum(len(points) for points in sample.inputs["lidar"]) == 164_013
    time_s = sample.labels["time_s"]
    assert np.ptp(time_s, axis=1).max() < 0.5
    np.testing.assert_allclose(np.diff(time_s[:, 0]), 0.5, atol=0.05)
    by_range = sample.inputs["radar"].mean((0, 1))
    assert by_range[:20].mean() > 1.5 * by_range[-100:].mean()
