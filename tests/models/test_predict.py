from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.data.batches import radio_inputs, scene_windows
from models.data.raytraced_set import RayTracedSet
from models.predict import embed_scene, fuse_scene, predict_scene, predict_windows
from models.systems.gated_fusion import GatedFusion
from service.contract.labels import MODALITIES
from tests.models.toy import recording, scene_set

NO_TEXT = torch.zeros(1, 16, dtype=torch.int64)


@pytest.fixture(scope="module")
def data() -> RayTracedSet:
    return scene_set(episodes=2, snapshots=10, ues=2)


def _only(data: RayTracedSet, ue: int) -> RayTracedSet:
    """The set with one of its terminals."""
    names = ("gain", "csi", "position_m", "blocker", "paths", "duplicate")
    there = {name: getattr(data, name)[:, ue : ue + 1] for name in ("present", "labelled")}
    return replace(data, **{name: getattr(data, name)[:, :, ue : ue + 1] for name in names}, **there)


def test_frames_are_in_the_order_of_the_set(model: GatedFusion, data: RayTracedSet) -> None:
    found = predict_scene(model, data, MODALITIES)
    np.testing.assert_array_equal(found.truth_m, data.position_m.reshape(-1, 2))
    np.testing.assert_array_equal(found.los, data.los.ravel())
    np.testing.assert_array_equal(found.blocker, data.blocker.ravel())
    assert found.episode.tolist() == [0] * 20 + [1] * 20
    assert found.history[::2].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8] * 2
    np.testing.assert_allclose(found.gate.sum(1), 1, atol=1e-6)


def test_terminal_that_is_away_has_no_frames_and_changes_no_other(model: GatedFusion, data: RayTracedSet) -> None:
    fewer = replace(data, present=np.array([[True, True], [False, True]]))
    whole, found = (predict_scene(model, d, MODALITIES) for d in (data, fewer))
    kept = np.ones((2, 10, 2), bool)
    kept[1, :, 0] = False
    for name in ("position_m", "truth_m", "los", "gate", "history", "episode"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name)[kept.ravel()])


@pytest.mark.parametrize("longest", [1, 3, 8])
def test_frame_is_answered_as_the_service_would_answer_it(model: GatedFusion, data: RayTracedSet, longest: int) -> None:
    """One frame at a time, from a buffer in half precision, apart from the others."""
    found = fuse_scene(model, data, embed_scene(model, data, MODALITIES), longest)
    for episode, step, ue in ((0, 0, 0), (1, 4, 1), (0, 9, 1)):
        window = []
        alone = _only(data, ue)
        for k in range(max(0, step + 1 - longest), step + 1):
            radio = radio_inputs(alone.csi[episode, k][None, None], data.band.bandwidth_hz)
            frame = scene_windows(alone, np.array([episode]), np.array([k]), 1, radio, MODALITIES)
            with torch.no_grad():
                window.append(model.encoder(**frame.inputs)[0].half().float()[0])
        time_s = torch.from_numpy(data.time_s[episode, step + 1 - len(window) : step + 1])
        age = (time_s[-1] - time_s).float()[None]
        with torch.no_grad():
            answer = model.fuser(torch.stack(window)[None], age, torch.ones_like(age), NO_TEXT)
        row = (episode * 10 + step) * 2 + ue
        np.testing.assert_allclose(found.position_m[row], answer["position"][0, -1], atol=0.02)
        np.testing.assert_allclose(found.scale_tril[row], answer["scale_tril"][0, -1], rtol=1e-2, atol=1e-2)
        np.testing.assert_allclose(found.los_logit[row], answer["los_logit"][0, -1], atol=1e-2)


def test_embeddings_are_rounded_as_the_buffer_rounds_them(model: GatedFusion, data: RayTracedSet) -> None:
    embedding = embed_scene(model, data, MODALITIES).embedding
    assert torch.equal(embedding, embedding.half().float())
    people = torch.from_numpy(predict_windows(model, [recording(0)], steps=1).embedding)
    assert torch.equal(people, people.half().float())


def test_no_answer_looks_into_the_future(model: GatedFusion, data: RayTracedSet) -> None:
    other = scene_set(episodes=2, snapshots=10, ues=2, seed=5)
    late = np.arange(10) >= 6

    def mixed(name: str) -> np.ndarray:
        mine, theirs = getattr(data, name), getattr(other, name)
        return np.where(late.reshape(1, -1, *[1] * (mine.ndim - 2)), theirs, mine)

    changed = replace(data, **{name: mixed(name) for name in ("camera", "radar", "lidar", "csi")})
    before, after = (predict_scene(model, d, MODALITIES).position_m.reshape(2, 10, 2, 2) for d in (data, changed))
    np.testing.assert_array_equal(before[:, :6], after[:, :6])
    assert (before[:, 6:] != after[:, 6:]).any(-1).all()


def test_only_the_modalities_given_are_used(model: GatedFusion, data: RayTracedSet) -> None:
    found = predict_scene(model, data, ("csi", "lidar"))
    assert (found.gate[:, [1, 2]] == 0).all()
    assert (found.gate[:, [0, 3]] > 0).all()
    blind = replace(data, camera=255 - data.camera, radar=1 + data.radar)
    np.testing.assert_array_equal(predict_scene(model, blind, ("csi", "lidar")).position_m, found.position_m)


def test_windows_are_those_of_each_recording(model: GatedFusion) -> None:
    people = [recording(0, frames=90), recording(3, frames=50), recording(4, frames=72)]
    found = predict_windows(model, people, steps=1)
    assert found.activity.tolist() == [0] * 4 + [4] * 2  # the second is too short
    assert found.recording.tolist() == [0] * 4 + [2] * 2
    some = predict_windows(model, people, steps=1, most=2)
    assert some.recording.tolist() == [0, 0, 2, 2]
    np.testing.assert_allclose(some.logits, found.logits[[0, 1, 4, 5]], atol=1e-4)


def test_stream_of_windows_is_answered_from_those_so_far(model: GatedFusion) -> None:
    people = [recording(1, frames=100), recording(2, frames=90)]
    found = predict_windows(model, people, steps=3)
    embeddings = torch.from_numpy(found.embedding)
    for row, first in ((0, 0), (1, 0), (4, 2), (5, 5), (7, 5)):  # recordings of 5 and 4 windows
        age = torch.arange(row - first, -1, -1)[None] / 3
        with torch.no_grad():
            answer = model.fuser(embeddings[None, first : row + 1], age, torch.ones_like(age), NO_TEXT)
        np.testing.assert_allclose(found.logits[row], answer["activity_logits"][0, -1], atol=1e-4)
