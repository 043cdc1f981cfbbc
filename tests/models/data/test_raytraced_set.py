from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.data.raytraced_set import captures, load, measured_csi, part_of
from models.data.shards import SettingsMismatch
from service.normalizers.camera import camera_rgb
from service.normalizers.lidar import lidar_planes
from service.normalizers.radar import radar_planes
from tests.models.toy import SITE, shard, shard_set


def test_parts_have_their_shares() -> None:
    assert Counter(part_of(episode) for episode in range(240)) == {"train": 156, "val": 36, "test": 48}


def test_no_episode_is_in_two_parts(tmp_path: Path) -> None:
    shard_set(tmp_path, episodes=tuple(range(20)), snapshots=1, ues=1)
    episodes = [load(tmp_path, part, quiet=True).episode.tolist() for part in ("train", "val", "test")]
    assert sorted(number for part in episodes for number in part) == list(range(20))
    assert [len(e) for e in episodes] == [13, 3, 4]


def test_loaded_part_is_what_the_shards_hold(tmp_path: Path) -> None:
    shard_set(tmp_path, episodes=(2, 5, 13))
    data = load(tmp_path, "train", quiet=True)
    assert data.site == SITE
    assert data.episode.tolist() == [2, 5]
    for row, episode in enumerate((2, 5)):
        arrays = shard(seed=episode)
        camera, radar, lidar = (captures(arrays, name) for name in ("camera", "radar", "lidar"))
        np.testing.assert_array_equal(data.camera[row], camera_rgb([jpeg.tobytes() for jpeg in camera]))
        np.testing.assert_array_equal(data.radar[row], radar_planes(radar, [SITE] * 2))
        np.testing.assert_array_equal(data.lidar[row], lidar_planes(lidar, [SITE] * 2))
        np.testing.assert_array_equal(data.csi[row], measured_csi(arrays))
        np.testing.assert_array_equal(data.gain[row].real, arrays["csi_gain"][..., 0])
        np.testing.assert_array_equal(data.gain[row].imag, arrays["csi_gain"][..., 1])
        np.testing.assert_allclose(SITE.to_enu(data.position_m[row]), arrays["ue_position_m"][..., :2], atol=1e-4)
        np.testing.assert_array_equal(data.los[row], arrays["blocker"] == 0)
        np.testing.assert_array_equal(data.paths[row], arrays["paths"])


def test_measured_channel_is_levels_times_scale() -> None:
    arrays = shard()
    levels, scale = arrays["csi_levels"].astype(float), arrays["csi_scale"]
    expected = (levels[..., 0] + 1j * levels[..., 1]) * scale[..., None, None]
    np.testing.assert_allclose(measured_csi(arrays), expected, rtol=1e-6)


def test_first_episodes_keep_everything_in_step(tmp_path: Path) -> None:
    shard_set(tmp_path, episodes=(0, 1, 2))
    data = load(tmp_path, "train", quiet=True)
    some = data.first(2)
    assert some.episode.tolist() == [0, 1]
    assert some.site == data.site
    np.testing.assert_array_equal(some.position_m, data.position_m[:2])
    np.testing.assert_array_equal(some.camera, data.camera[:2])


def test_part_that_was_not_built_is_named(tmp_path: Path) -> None:
    shard_set(tmp_path, episodes=(0,))
    with pytest.raises(FileNotFoundError, match="'val'"):
        load(tmp_path, "val", quiet=True)


def test_stray_shard_spoils_no_set(tmp_path: Path) -> None:
    mine = shard_set(tmp_path / "mine", episodes=(0,))
    other = type(mine)(tmp_path / "other", {**mine.settings, "seed": 1})
    other.create()
    other.write(1, shard(seed=1))
    mine.path(1).write_bytes(other.path(1).read_bytes())
    with pytest.raises(SettingsMismatch):
        load(tmp_path / "mine", "train", quiet=True)
