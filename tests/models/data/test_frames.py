from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.frames import Frames, load
from models.data.raytraced.bands import BANDS
from models.data.raytraced_set import measured_csi
from models.data.shards import SettingsMismatch, ShardSet
from service.normalizers.cues import aoa_profile, distance, gain
from tests.models.data.fake_set import SITES, Size, fake_channels, fake_set, plant_twin

HELD_OUT = "held-out-trajectories"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return fake_set(tmp_path_factory.mktemp("set"), tuple(SITES), size=Size(snapshots=3, ues=3))


@pytest.fixture(scope="module")
def frames(shards: ShardSet) -> Frames:
    return load(shards.folder, HELD_OUT, "train", quiet=True)


def test_frames_are_those_of_the_part_in_order(shards: ShardSet, frames: Frames) -> None:
    expected = []
    for number, site in enumerate(("toy", "toy-east", "other")):
        for episode in (0, 2, 8):
            there = np.flatnonzero(shards.read(site, episode, ["ue_present"])["ue_present"])
            expected += [(number, episode, k, ue) for k in range(3) for ue in there]
    found = np.stack([frames.site, frames.episode, frames.snapshot, frames.ue], 1)
    assert [tuple(row) for row in found] == expected
    assert len(frames) == len(expected) > 3 * 3 * 3 * 2
    assert frames.present.all()
    assert [site.name for site in frames.sites] == ["toy", "toy-east", "other"]


def test_row_is_what_the_shard_holds(shards: ShardSet, frames: Frames) -> None:
    rows = np.random.default_rng(0).permutation(len(frames))[:20]
    csi = frames.csi(rows)
    for row, channel in zip(rows, csi, strict=True):
        site = frames.sites[frames.site[row]]
        arrays = shards.read(site.name, int(frames.episode[row]))
        k, u = frames.snapshot[row], frames.ue[row]
        offset = arrays["path_offset"][3 * k + u : 3 * k + u + 2]
        assert frames.time_s[row] == arrays["time_s"][k]
        assert frames.paths[row] == offset[1] - offset[0]
        assert frames.los[row] == (arrays["blocker"][k, u] == 0)
        assert frames.visible[row] == (arrays["box_px"][k, u, 0] >= 0)
        assert frames.zone[row] == arrays["zone"][k, u]
        np.testing.assert_allclose(site.to_enu(frames.position_m[row]), arrays["ue_position_m"][k, u], atol=1e-4)
        np.testing.assert_allclose(site.to_enu(frames.velocity_mps[row]), arrays["ue_velocity_mps"][k, u], atol=1e-4)
        for mine, column in (
            (frames.aoa, "aoa_profile"), (frames.distance_m, "distance_m"), (frames.gain_dbm, "gain_db"),
        ):  # fmt: skip
            np.testing.assert_array_equal(mine[row], arrays[column][k, u])
        for band in range(3):
            np.testing.assert_array_equal(channel[band], measured_csi(arrays, band)[k, u])


def test_tracks_are_the_trajectories_of_terminals(frames: Frames) -> None:
    keys = np.stack([frames.site, frames.episode, frames.ue], 1)
    for track in range(frames.track.max() + 1):
        mine = frames.track == track
        assert len(np.unique(keys[mine], axis=0)) == 1
        assert mine.sum() == 3
    assert frames.track.max() + 1 == len(np.unique(keys, axis=0))


def test_clean_channels_are_what_the_paths_add_up_to(shards: ShardSet, frames: Frames) -> None:
    rows = np.flatnonzero((frames.episode == 2) & (frames.site < 2))[::-2]  # of two sites, in no order
    found = frames.clean(rows)
    for row, channel in zip(rows, found, strict=True):
        site = frames.sites[frames.site[row]]
        expected = fake_channels(site, shards.read(site.name, 2))[frames.snapshot[row], frames.ue[row]]
        np.testing.assert_allclose(channel, expected, atol=1e-5 * np.abs(expected).max())
    assert (np.abs(found).max((2, 3)) > 0).all(1).tolist() == (frames.paths[rows] > 0).tolist()


def test_channels_measured_anew_are_new_measurements_of_the_same(frames: Frames) -> None:
    rows = np.flatnonzero(frames.los & (frames.paths > 0))[:12]
    first, again, other = (frames.measured_anew(rows, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    stored = frames.csi(rows)
    assert first.shape == stored.shape == (12, 3, 32, 64)
    assert first.dtype == stored.dtype
    for band in range(3):
        np.testing.assert_allclose(gain(first[:, band]), gain(stored[:, band]), atol=0.05)
        np.testing.assert_allclose(aoa_profile(first[:, band]), aoa_profile(stored[:, band]), atol=0.05)
        timing_m = 100 * (distance(first[:, band], 100e6) - distance(stored[:, band], 100e6))
        assert 0.5 < np.abs(timing_m).mean() < 10  # 10 ns of timing offset are 3 m


def test_some_sites_and_bands(shards: ShardSet, frames: Frames) -> None:
    some = load(shards.folder, HELD_OUT, "train", ["toy-east"], ["28 GHz", "2.6 GHz"], quiet=True)
    rows = np.flatnonzero(frames.site == 1)
    assert some.bands == (BANDS[2], BANDS[0])
    assert len(some) == len(rows)
    every = np.arange(len(some))
    np.testing.assert_array_equal(some.gain_dbm, frames.gain_dbm[rows][:, [2, 0]])
    np.testing.assert_array_equal(some.csi(every), frames.csi(rows)[:, [2, 0]])
    np.testing.assert_array_equal(some.clean(every), frames.clean(rows)[:, [2, 0]])


def test_taken_rows_keep_everything_in_step(frames: Frames) -> None:
    rows = np.array([40, 3, 17])
    some = frames.take(rows)
    assert len(some) == 3
    np.testing.assert_array_equal(some.position_m, frames.position_m[rows])
    np.testing.assert_array_equal(some.csi(np.array([2, 0])), frames.csi(rows[[2, 0]]))
    np.testing.assert_array_equal(some.clean(np.array([2, 0])), frames.clean(rows[[2, 0]]))
    assert len(frames.take(frames.los)) == frames.los.sum()


def test_empty_scene_keeps_its_noise_and_says_that_nobody_is_there(shards: ShardSet) -> None:
    empty = load(shards.folder, "empty", "test", quiet=True)
    assert len(empty) == 3 * 3 * 3
    assert not empty.present.any()
    assert (empty.paths == 0).all()
    assert (np.abs(empty.csi(np.arange(27))) > 0).any((1, 2, 3)).all()


def test_only_labelled_tracks_are_marked(shards: ShardSet) -> None:
    few = load(shards.folder, "few-label-20", "train", ["toy"], quiet=True)
    listed = {tuple(track) for track in shards.splits["few-label-20"]["train"]["labelled"]["toy"]}
    found = {(int(e), int(ue)) for e, ue in zip(few.episode[few.labelled], few.ue[few.labelled], strict=True)}
    away = {(e, ue) for e, ue in listed if not shards.read("toy", e, ["ue_present"])["ue_present"][ue]}
    assert found == listed - away
    assert 0 < few.labelled.mean() < 0.5
    assert load(shards.folder, "few-label-20", "val", ["toy"], quiet=True).labelled.all()


def test_near_duplicates_of_training_frames_are_marked(tmp_path: Path) -> None:
    plant_twin(fake_set(tmp_path))
    found = load(tmp_path, HELD_OUT, "test", quiet=True)
    assert np.flatnonzero(found.duplicate).tolist() == [2]  # the second snapshot of the first of two terminals
    assert not load(tmp_path, HELD_OUT, "train", quiet=True).duplicate.any()


def test_what_is_not_there_is_named(shards: ShardSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"toy, toy-east, other in held-out.*got far"):
        load(shards.folder, HELD_OUT, "test", ["toy", "far"], quiet=True)
    with pytest.raises(ValueError, match=r"2.6 GHz, 6 GHz, 28 GHz, got '60 GHz'"):
        load(shards.folder, HELD_OUT, "test", bands=["60 GHz"], quiet=True)
    mine = fake_set(tmp_path)
    for episode in mine.episodes("toy"):
        mine.path("toy", episode).unlink()
    with pytest.raises(FileNotFoundError, match="build more"):
        load(tmp_path, HELD_OUT, "val", quiet=True)


def test_stray_shard_spoils_no_set(shards: ShardSet, tmp_path: Path) -> None:
    mine = fake_set(tmp_path)
    mine.path("toy", 0).write_bytes(shards.path("toy", 0).read_bytes())
    with pytest.raises(SettingsMismatch):
        load(tmp_path, HELD_OUT, "train", quiet=True)
