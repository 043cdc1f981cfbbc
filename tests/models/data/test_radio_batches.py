from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.data.frames import Frames
from models.data.radio_batches import Radio, Trajectories, gather, trajectory_batches, windows
from models.data.trajectories import Grouping, temporal
from service.normalizers.cues import DISTANCE_UNIT_M, gain

LENGTH = 8


@pytest.fixture(scope="module")
def holed(radio: dict[str, Radio]) -> Frames:
    """The training frames in no order, some without a label and some without a UE."""
    rng = np.random.default_rng(0)
    frames = radio["train"].frames
    frames = frames.take(rng.permutation(len(frames)))
    return replace(frames, present=rng.random(len(frames)) > 0.1, labelled=rng.random(len(frames)) > 0.2)


def _members(grouping: Grouping) -> list[NDArray[np.int64]]:
    return [index[mask] for index, mask in zip(grouping.index, grouping.mask, strict=True)]


def _places(batches: Iterator[Trajectories]) -> list[tuple[float, ...]]:
    """The truth of every vertex, which tells frames apart."""
    return [tuple(place) for batch in batches for place in batch.position[batch.step_mask > 0].tolist()]


@pytest.mark.parametrize("length", [1, 3, LENGTH, 16])
def test_every_frame_to_train_on_is_in_one_window(holed: Frames, length: int) -> None:
    found = windows(holed, length, np.random.default_rng(1))
    members = _members(found)
    assert sorted(np.concatenate(members)) == np.flatnonzero(holed.present & holed.labelled).tolist()
    assert found.index.shape == found.mask.shape == found.age_s.shape == (len(members), length)
    assert all(1 <= len(window) <= length for window in members)


def test_window_is_a_stretch_of_one_track_padded_in_front(holed: Frames) -> None:
    found = windows(holed, LENGTH, np.random.default_rng(2))
    usable = holed.present & holed.labelled
    for window, age_s, mask in zip(_members(found), found.age_s, found.mask, strict=True):
        track = holed.track[window[0]]
        time_s = holed.time_s[window]
        assert (holed.track[window] == track).all()
        assert (np.diff(time_s) > 0).all()
        between = (holed.time_s >= time_s[0]) & (holed.time_s <= time_s[-1])
        assert (usable & (holed.track == track) & between).sum() == len(window)
        np.testing.assert_allclose(age_s[mask], time_s[-1] - time_s, atol=1e-6)
    assert (np.diff(found.mask.astype(int), axis=1) >= 0).all()
    assert found.mask[:, -1].all()
    assert (found.age_s[~found.mask] == 0).all()
    assert (found.index == np.where(found.mask, found.index, found.index[:, -1:])).all()


def test_windows_of_a_track_are_as_long_as_asked_or_half_or_a_quarter_of_it(radio: dict[str, Radio]) -> None:
    frames = radio["train"].frames
    cuts = set()
    for seed in range(20):
        members = _members(windows(frames, 4, np.random.default_rng(seed)))
        for track in np.unique(frames.track):
            mine = [w for w in members if frames.track[w[0]] == track]
            inner = {len(w) for w in sorted(mine, key=lambda w: frames.time_s[w[0]])[1:-1]}  # the outer are cut off
            assert len(inner) <= 1
            cuts |= inner
    assert cuts == {4, 2, 1}


def test_windows_are_cut_elsewhere_in_every_draw_and_reproducible(holed: Frames) -> None:
    first, again, other = (windows(holed, LENGTH, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.index, again.index)
    assert first.index.shape != other.index.shape or (first.index != other.index).any()


def test_batch_lines_up_with_the_frames(radio: dict[str, Radio]) -> None:
    part = radio["train"]
    every = temporal(part.frames, 5)
    rows = np.array([40, 1, 99, 8, 0])
    grouping = Grouping(every.index[rows], every.mask[rows], every.age_s[rows])
    bands = np.array([2, 0, 1, 1, 0])
    batch = gather(part, grouping, bands)
    assert not grouping.mask.all()
    assert batch.place.shape == batch.age.shape == batch.step_mask.shape == batch.los.shape == (5, 5)
    assert {len(values) for values in batch.inputs.values()} == {int(grouping.mask.sum())}
    np.testing.assert_array_equal(batch.step_mask, grouping.mask)
    np.testing.assert_array_equal(batch.age, grouping.age_s)
    np.testing.assert_array_equal(batch.position, part.frames.position_m[grouping.index, :2])
    np.testing.assert_array_equal(batch.los, part.frames.los[grouping.index])
    for row, band in enumerate(bands):  # padding repeats the last vertex, as `index` does
        expected = part.inputs(grouping.index[row], np.full(5, band))
        for name, values in batch.inputs.items():
            torch.testing.assert_close(values[batch.place[row]], expected[name], msg=name)


def test_inputs_are_the_stored_cues_as_the_service_scales_them(radio: dict[str, Radio]) -> None:
    part = radio["train"]
    rows, bands = np.arange(60), np.random.default_rng(5).integers(0, 3, 60)
    inputs = part.inputs(rows, bands)
    csi = part.frames.csi(rows)[rows, bands]
    np.testing.assert_allclose(inputs["gain"], gain(csi), atol=1e-5)
    np.testing.assert_array_equal(inputs["aoa"], part.frames.aoa[rows, bands])
    np.testing.assert_array_equal(inputs["csi"], (part.planes.read(rows, bands) / np.float32(127)).astype(np.float32))
    carrier_hz = [part.frames.bands[band].carrier_hz for band in bands]
    np.testing.assert_allclose(inputs["carrier"][:, 0], np.log10(carrier_hz) - 9, rtol=1e-6)
    for name, values in inputs.items():
        assert values.dtype == (torch.int64 if name == "site" else torch.float32), name


def test_distance_that_was_not_measured_is_masked(radio: dict[str, Radio]) -> None:
    part = radio["train"]
    rows = np.arange(len(part.frames))
    distance_m = part.frames.distance_m[:, 1]
    there = np.isfinite(distance_m)
    inputs = part.inputs(rows, np.ones_like(rows))
    assert 0 < there.mean() < 1
    np.testing.assert_array_equal(inputs["cue_mask"][:, 2], there)
    assert (inputs["cue_mask"][:, [0, 1, 3]] == 1).all()
    assert (inputs["distance"][~there] == 0).all()
    np.testing.assert_allclose(inputs["distance"][there, 0], distance_m[there] / DISTANCE_UNIT_M, rtol=1e-6)


def test_sites_have_the_numbers_of_training_and_any_other_the_next(radio: dict[str, Radio]) -> None:
    part = radio["train"]
    rows = np.array([0, len(part.frames) - 1])
    assert [part.frames.sites[part.frames.site[row]].name for row in rows] == ["toy", "toy-east"]
    for names, expected in (
        (("toy", "toy-east"), [0, 1]), (("toy-east", "toy"), [1, 0]), (("toy-east",), [1, 0]), (("a", "b"), [2, 2]),
    ):  # fmt: skip
        inputs = replace(part, site_names=names).inputs(rows, np.zeros(2, np.int64))
        assert inputs["site"].tolist() == expected


def test_epoch_has_every_frame_to_train_on_once(radio: dict[str, Radio]) -> None:
    frames = radio["train"].frames
    labelled = frames.ue != 1
    part = replace(radio["train"], frames=replace(frames, labelled=labelled))
    batches = list(trajectory_batches(part, LENGTH, 0.0, 20, np.random.default_rng(0)))
    expected = frames.position_m[labelled, :2].tolist()
    assert sorted(_places(iter(batches))) == sorted(map(tuple, expected))
    assert len(batches) == round(len(expected) / 20)
    assert {len(np.unique(batch.inputs["carrier"])) for batch in batches} == {3}


def test_clusters_are_of_frames_to_train_on_too(radio: dict[str, Radio]) -> None:
    part = replace(radio["train"], frames=replace(radio["train"].frames, labelled=radio["train"].frames.ue == 1))
    expected = set(map(tuple, part.frames.position_m[part.frames.labelled, :2].tolist()))
    assert set(_places(trajectory_batches(part, LENGTH, 1.0, 50, np.random.default_rng(0)))) == expected


def test_clusters_come_on_top(radio: dict[str, Radio]) -> None:
    part = radio["train"]
    count = len(part.frames)
    for clusters, low, high in ((0.5, 1.3 * count, 1.7 * count), (1.0, 2 * count, 2 * count)):
        found = _places(trajectory_batches(part, LENGTH, clusters, 50, np.random.default_rng(0)))
        assert low <= len(found) <= high
        assert len(set(found)) == count


def test_epoch_follows_from_its_seed(radio: dict[str, Radio]) -> None:
    first, again, other = (
        [batch.position for batch in trajectory_batches(radio["train"], LENGTH, 0.3, 50, np.random.default_rng(seed))]
        for seed in (6, 6, 7)
    )
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(first, again, strict=True))
    assert not all(torch.equal(mine, theirs) for mine, theirs in zip(first, other, strict=False))
