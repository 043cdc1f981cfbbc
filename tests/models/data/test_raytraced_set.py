from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.data.raytraced.bands import BANDS
from models.data.raytraced.lidar_image import lidar_points
from models.data.raytraced_set import RayTracedSet, add_arguments, captures, load, load_parts, measured_csi
from models.data.shards import SettingsMismatch, ShardSet
from service.normalizers.camera import camera_rgb
from service.normalizers.lidar import lidar_planes
from service.normalizers.radar import radar_planes
from tests.models.data.fake_set import SITES, Size, fake_channels, fake_episode, fake_set, plant_twin

HELD_OUT = "held-out-trajectories"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return fake_set(tmp_path_factory.mktemp("set"), ("toy", "toy-east"), size=Size(snapshots=3, ues=3))


@pytest.fixture(scope="module")
def data(shards: ShardSet) -> RayTracedSet:
    """Episodes 1 and 7 at 28 GHz; in both the third terminal is away."""
    return load(shards.folder, HELD_OUT, "test", "toy-east", "28 GHz", quiet=True)


def test_part_is_the_episodes_of_one_site(shards: ShardSet, data: RayTracedSet) -> None:
    assert data.episode.tolist() == [1, 7]
    parts = [load(shards.folder, HELD_OUT, part, "toy-east", "28 GHz", quiet=True) for part in ("train", "val")]
    assert [part.episode.tolist() for part in parts] == [[0, 2, 8], [3]]


def test_site_is_that_of_the_set_at_the_band(data: RayTracedSet) -> None:
    assert data.band == BANDS[2]
    assert data.site == replace(SITES["toy-east"], carrier_hz=28e9, bandwidth_hz=BANDS[2].bandwidth_hz)


def test_loaded_part_is_what_the_shards_hold(shards: ShardSet, data: RayTracedSet) -> None:
    site = SITES["toy-east"]
    for row, episode in enumerate((1, 7)):
        arrays = shards.read("toy-east", episode)
        scenes = captures(arrays, site)
        np.testing.assert_array_equal(data.camera[row], camera_rgb([scene.camera for scene in scenes]))
        np.testing.assert_array_equal(data.radar[row], radar_planes([scene.radar for scene in scenes], [site] * 3))
        np.testing.assert_array_equal(data.lidar[row], lidar_planes([scene.lidar for scene in scenes], [site] * 3))
        np.testing.assert_array_equal(data.csi[row, :, :2], measured_csi(arrays, 2)[:, :2])
        np.testing.assert_array_equal(data.blocker[row], arrays["blocker"])
        np.testing.assert_array_equal(data.los[row], arrays["blocker"] == 0)
        np.testing.assert_array_equal(data.paths[row].ravel(), np.diff(arrays["path_offset"]))
        np.testing.assert_array_equal(data.time_s[row], arrays["time_s"])
        where = site.to_enu(data.position_m[row, :, :2])
        np.testing.assert_allclose(where, arrays["ue_position_m"][:, :2, :2], atol=1e-4)


def test_clean_channels_are_what_the_paths_add_up_to(shards: ShardSet, data: RayTracedSet) -> None:
    for row, episode in enumerate((1, 7)):
        expected = fake_channels(SITES["toy-east"], shards.read("toy-east", episode))[:, :2, 2]
        np.testing.assert_allclose(data.gain[row, :, :2], expected, atol=1e-5 * np.abs(expected).max())


def test_terminal_that_is_away_has_no_place_and_lends_anothers_channels(data: RayTracedSet) -> None:
    assert data.present.tolist() == [[True, True, False]] * 2
    assert (data.position_m[:, :, 2] == 0).all()
    np.testing.assert_array_equal(data.gain[:, :, 2], data.gain[:, :, 0])
    np.testing.assert_array_equal(data.csi[:, :, 2], data.csi[:, :, 0])
    assert data.frames(data.los).shape == (2 * 3 * 2,)
    np.testing.assert_array_equal(data.frames(data.position_m), data.position_m[:, :, :2].reshape(-1, 2))


def test_empty_scene_is_only_noise(shards: ShardSet) -> None:
    empty = load(shards.folder, "empty", "test", "toy", "6 GHz", quiet=True)
    assert not empty.present.any()
    assert (empty.gain == 0).all()
    assert (np.abs(empty.csi) > 0).any((-2, -1)).all()
    assert len(empty.frames(empty.los)) == 0


def test_captures_are_what_a_base_station_would_send(shards: ShardSet) -> None:
    arrays, site = shards.read("toy", 0), SITES["toy"]
    scenes = captures(arrays, site)
    assert len(scenes) == 3
    for k, scene in enumerate(scenes):
        low, high = arrays["camera_offset"][k : k + 2]
        assert scene.camera == arrays["camera"][low:high].tobytes()
        low, high = arrays["radar_offset"][k : k + 2]
        np.testing.assert_array_equal(scene.radar, arrays["radar"][low:high])
        expected = lidar_points(arrays["lidar_range"][k], arrays["lidar_intensity"][k], site)
        np.testing.assert_array_equal(scene.lidar, expected)


def test_measured_channel_is_levels_times_scale() -> None:
    arrays = fake_episode(SITES["toy"], "train", seed=0)
    levels, scale = arrays["csi_levels"][:, :, 1].astype(float), arrays["csi_scale"][:, :, 1]
    expected = (levels[..., 0] + 1j * levels[..., 1]) * scale[..., None, None]
    np.testing.assert_allclose(measured_csi(arrays, 1), expected, rtol=1e-6)


def test_first_episodes_keep_everything_in_step(data: RayTracedSet) -> None:
    some = data.first(1)
    assert some.episode.tolist() == [1]
    assert (some.site, some.band) == (data.site, data.band)
    np.testing.assert_array_equal(some.position_m, data.position_m[:1])
    np.testing.assert_array_equal(some.camera, data.camera[:1])
    assert some.frames(some.los).shape == (6,)


def test_only_listed_tracks_are_labelled(shards: ShardSet) -> None:
    few = load(shards.folder, "few-label-20", "train", "toy", "6 GHz", quiet=True)
    listed = shards.splits["few-label-20"]["train"]["labelled"]["toy"]
    assert [[int(few.episode[row]), int(ue)] for row, ue in np.argwhere(few.labelled)] == listed
    assert load(shards.folder, "few-label-20", "test", "toy", "6 GHz", quiet=True).labelled.all()


def test_near_duplicates_of_training_frames_are_marked(tmp_path: Path) -> None:
    plant_twin(fake_set(tmp_path))
    found = load(tmp_path, HELD_OUT, "test", "toy", "6 GHz", quiet=True)
    assert np.argwhere(found.duplicate).tolist() == [[0, 1, 0]]
    assert not load(tmp_path, HELD_OUT, "train", "toy", "6 GHz", quiet=True).duplicate.any()


def test_command_line_says_which_data(shards: ShardSet, data: RayTracedSet) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--set", str(shards.folder), "--site", "toy-east", "--band", "28 GHz"])
    parts = load_parts(args, ("val", "test"), quiet=True)
    assert list(parts) == ["val", "test"]
    np.testing.assert_array_equal(parts["test"].position_m, data.position_m)


def test_what_is_not_there_is_named(shards: ShardSet, tmp_path: Path) -> None:
    for split, part, site, band, expected in (
        ("random", "test", "toy", "6 GHz", r"split of held-out.*got 'random'"),
        (HELD_OUT, "test", "far", "6 GHz", r"one of toy, toy-east in held-out.*got 'far'"),
        (HELD_OUT, "test", "toy", "60 GHz", r"28 GHz, got '60 GHz'"),
    ):
        with pytest.raises(ValueError, match=expected):
            load(shards.folder, split, part, site, band, quiet=True)
    mine = fake_set(tmp_path)
    mine.path("toy", mine.recipe.purposes("toy").index("val")).unlink()
    with pytest.raises(FileNotFoundError, match="build more"):
        load(tmp_path, HELD_OUT, "val", "toy", "6 GHz", quiet=True)


def test_set_of_the_first_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text('{"schema": 1, "fingerprint": "0", "settings": {"layout": "munich"}}')
    with pytest.raises(SettingsMismatch, match=r"schema 2, got schema 1.*build it anew"):
        load(tmp_path, HELD_OUT, "test", "munich", "6 GHz", quiet=True)


def test_stray_shard_spoils_no_set(shards: ShardSet, tmp_path: Path) -> None:
    mine = fake_set(tmp_path)
    mine.path("toy", 0).write_bytes(shards.path("toy", 0).read_bytes())
    with pytest.raises(SettingsMismatch):
        load(tmp_path, HELD_OUT, "train", "toy", "6 GHz", quiet=True)


def test_loading_needs_no_ray_tracer() -> None:
    import subprocess
    import sys

    script = (
        "import sys, models.train, models.data.frames, models.data.trajectories\n"
        "assert not {'sionna', 'mitsuba', 'drjit'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
