from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from models.data.batches import (
    Batch,
    draw_channels,
    radar_batch,
    radar_sequences,
    radio_inputs,
    scene_windows,
    training_windows,
)
from models.data.measured import radhar
from models.data.raytraced_set import RayTracedSet
from service.contract.labels import MODALITIES
from service.normalizers.csi import csi_planes
from service.normalizers.cues import aoa_profile, distance, gain
from service.normalizers.radar import radar_planes
from tests.models.toy import recording, scene_set
from tests.service.normalizers.waves import BANDWIDTH_HZ

SCENE = MODALITIES[1:]


@pytest.fixture(scope="module")
def data() -> RayTracedSet:
    return scene_set(episodes=4, snapshots=10, ues=3)


@pytest.fixture(scope="module")
def draws(data: RayTracedSet) -> dict[str, np.ndarray]:
    return draw_channels(data, draws=2, seed=5)


def _given(batch: Batch, name: str) -> Tensor:
    value = batch.inputs[name]
    assert value is not None
    return value


def test_rows_are_the_trajectories_of_terminals() -> None:
    windows, steps, ues = 2, 3, 4
    empty = torch.zeros(windows * ues, steps)
    batch = Batch({}, windows, empty, empty, empty, {})
    frames = torch.stack(torch.meshgrid(*(torch.arange(n) for n in (windows, steps, ues)), indexing="ij"), -1)
    rows = batch.by_row(frames.reshape(-1, 3))
    for row in range(windows * ues):
        for step in range(steps):
            assert rows[row, step].tolist() == [row // ues, step, row % ues]


def test_window_keeps_captures_channels_and_truth_together(data: RayTracedSet) -> None:
    episodes, start, steps = np.array([2, 0]), np.array([1, 4]), 5
    radio = radio_inputs(data.csi[episodes[:, None], start[:, None] + np.arange(steps)], BANDWIDTH_HZ)
    batch = scene_windows(data, episodes, start, steps, radio, MODALITIES)
    csi = batch.by_row(_given(batch, "csi"))
    for window, (episode, first) in enumerate(zip(episodes, start, strict=True)):
        for step in range(steps):
            capture = window * steps + step
            for name in SCENE:
                assert np.array_equal(_given(batch, name)[capture].numpy(), getattr(data, name)[episode, first + step])
            for ue in range(3):
                row = window * 3 + ue
                frame = data.csi[episode, first + step, ue][None]
                np.testing.assert_allclose(csi[row, step].numpy(), csi_planes(frame)[0], atol=1e-5)
                assert (
                    batch.truth["position"][row, step].tolist() == data.position_m[episode, first + step, ue].tolist()
                )
                assert batch.truth["los"][row, step] == data.los[episode, first + step, ue]
                age = data.time_s[episode, first + steps - 1] - data.time_s[episode, first + step]
                assert batch.age[row, step].item() == pytest.approx(age, abs=1e-5)


def test_truth_is_known_where_a_terminal_is_there_and_labelled(data: RayTracedSet) -> None:
    some = replace(data, present=data.present.copy(), labelled=data.labelled.copy())
    some.present[2, 1] = False
    some.labelled[0, 2] = False
    batch = scene_windows(some, np.array([2, 0]), np.array([1, 4]), 2, None, ("camera",))
    assert batch.known.tolist() == [[1, 1], [0, 0], [1, 1], [1, 1], [1, 1], [0, 0]]


def test_modalities_that_the_model_has_not_are_neither_given_nor_marked(data: RayTracedSet) -> None:
    batch = scene_windows(data, np.array([0]), np.array([0]), 2, None, ("radar",))
    assert batch.inputs["camera"] is batch.inputs["lidar"] is batch.inputs["csi"] is None
    assert _given(batch, "scene_mask").tolist() == [[0, 1, 0]] * 2
    assert _given(batch, "csi_mask").tolist() == [[0]] * 6


def test_radio_inputs_are_what_the_service_makes_of_a_frame(data: RayTracedSet) -> None:
    radio = radio_inputs(data.csi[:2], BANDWIDTH_HZ)
    frame = data.csi[1, 7, 2][None]
    for name, expected in (
        ("csi", csi_planes(frame)),
        ("aoa", aoa_profile(frame)),
        ("distance", distance(frame, BANDWIDTH_HZ)),
        ("gain", gain(frame)),
    ):
        np.testing.assert_allclose(radio[name][1, 7, 2], expected[0], atol=1e-5)


def test_draws_are_new_measurements_of_the_same_channels(data: RayTracedSet, draws: dict[str, np.ndarray]) -> None:
    assert all(values.dtype == np.float16 for values in draws.values())
    assert draws["aoa"].shape == (2, 4, 10, 3, 64)
    assert not np.array_equal(draws["csi"][0], draws["csi"][1])
    clean = radio_inputs(data.gain, BANDWIDTH_HZ)
    away_m = 100 * np.abs(draws["distance"] - clean["distance"])
    assert 1 < away_m.mean() < 5  # 10 ns of timing offset are 3 m
    again = draw_channels(data, draws=1, seed=5)
    np.testing.assert_array_equal(again["csi"][0], draws["csi"][0])


def test_epoch_sees_every_episode_once(data: RayTracedSet, draws: dict[str, np.ndarray]) -> None:
    seen = []
    for batch in training_windows(data, draws, MODALITIES, 2, np.random.default_rng(0)):
        for row in batch.truth["position"][::3]:  # the first terminal of each window
            found = np.argwhere((data.position_m[:, :, 0] == row[0].numpy()).all(-1))
            assert len(found) == 1
            episode, first = found[0]
            np.testing.assert_array_equal(data.position_m[episode, first : first + 8, 0], row.numpy())
            seen.append(int(episode))
    assert sorted(seen) == [0, 1, 2, 3]


def test_epoch_is_reproducible_and_epochs_differ(data: RayTracedSet, draws: dict[str, np.ndarray]) -> None:
    first, again, other = (
        list(training_windows(data, draws, MODALITIES, 2, np.random.default_rng([1, epoch]))) for epoch in (0, 0, 1)
    )
    for a, b in zip(first, again, strict=True):
        assert torch.equal(_given(a, "csi"), _given(b, "csi"))
        assert torch.equal(_given(a, "scene_mask"), _given(b, "scene_mask"))
        assert torch.equal(a.step_mask, b.step_mask)
    assert not torch.equal(_given(first[0], "csi"), _given(other[0], "csi"))


def test_training_hides_modalities_and_steps_but_never_all_of_them(
    data: RayTracedSet, draws: dict[str, np.ndarray]
) -> None:
    patterns, lengths = set(), set()
    for epoch in range(25):
        for batch in training_windows(data, draws, MODALITIES, 2, np.random.default_rng([2, epoch])):
            scenes = _given(batch, "scene_mask").repeat_interleave(3, 0)
            present = torch.cat([_given(batch, "csi_mask"), scenes], 1)
            assert (present.sum(1) > 0).all()
            patterns |= {tuple(row) for row in present.tolist()}
            assert (batch.step_mask[:, -1] == 1).all()
            lengths |= {int(row.sum()) for row in batch.step_mask}
    assert len(patterns) >= 12  # of 15 subsets
    assert lengths == set(range(1, 9))


def test_hiding_leaves_the_set_itself_alone(data: RayTracedSet, draws: dict[str, np.ndarray]) -> None:
    before = (data.camera.copy(), data.radar.copy(), draws["csi"].copy())
    list(training_windows(data, draws, MODALITIES, 2, np.random.default_rng(0)))
    for old, new in zip(before, (data.camera, data.radar, draws["csi"]), strict=True):
        np.testing.assert_array_equal(old, new)


def test_frame_keeps_a_modality_where_the_model_has_no_channel_to_fall_back_on(data: RayTracedSet) -> None:
    for epoch in range(25):
        for batch in training_windows(data, None, ("camera", "radar"), 2, np.random.default_rng([3, epoch])):
            assert (_given(batch, "scene_mask").sum(1) > 0).all()


def test_radar_runs_are_consecutive_windows_of_one_person() -> None:
    people = [recording(activity, frames=300) for activity in range(5)]
    batches = list(radar_sequences(people, files=2, steps=4, rng=np.random.default_rng(0)))
    assert len(batches) == 2  # 5 files in runs of 2
    for batch in batches:
        assert _given(batch, "radar").shape == (8, 4, 64, 64)
        assert _given(batch, "scene_mask").tolist() == [[0, 1, 0]] * 8
        assert _given(batch, "csi_mask").sum() == 0
        np.testing.assert_allclose(batch.age.numpy(), [[1, 2 / 3, 1 / 3, 0]] * 2, atol=1e-6)
        assert (batch.truth["activity"] == batch.truth["activity"][:, :1]).all()


def test_radar_batch_is_what_the_service_makes_of_the_windows() -> None:
    person = recording(3)
    batch = radar_batch([person.window(k) for k in range(4)], 2, [3, 3])
    expected = radar_planes([person.window(k) for k in range(4)], [radhar.SITE] * 4)
    np.testing.assert_array_equal(_given(batch, "radar").numpy(), expected)
    assert batch.by_row(_given(batch, "radar")).shape == (2, 2, 4, 64, 64)
    assert torch.equal(batch.by_row(_given(batch, "radar"))[1, 0], _given(batch, "radar")[2])


def test_augmentation_leaves_the_recordings_alone() -> None:
    people = [recording(activity, frames=300) for activity in range(4)]
    before = [person.points.copy() for person in people]
    list(radar_sequences(people, files=2, steps=4, rng=np.random.default_rng(0)))
    for person, points in zip(people, before, strict=True):
        np.testing.assert_array_equal(person.points, points)


def test_short_recording_does_not_end_the_training() -> None:
    people = [replace(recording(activity, frames=100), name=str(activity)) for activity in range(2)]
    list(radar_sequences(people, files=2, steps=8, rng=np.random.default_rng(0)))
