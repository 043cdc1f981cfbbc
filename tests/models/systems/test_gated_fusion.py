"""What serving relies on: masks, gates, batch-mates and time. The weights are untrained: this holds for any."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from models.estimates import pack_estimates, unpack_estimates
from models.graphs import random_inputs
from models.novelty import Novelty
from models.systems.gated_fusion import Encoder, Fuser, GatedFusion
from service.contract.labels import MODALITIES
from service.contract.tensors import TRAJECTORY_LEN

Inputs = dict[str, Tensor]
SUBSETS = list(product((0.0, 1.0), repeat=4))  # csi, camera, radar, lidar
RADIO, SCENE = ("csi", "aoa", "distance", "gain"), ("camera", "radar", "lidar")
PER_STEP = ("position", "scale_tril", "los_logit", "activity_logits")


@pytest.fixture(scope="module")
def encoder(model: GatedFusion) -> Encoder:
    return model.encoder


@pytest.fixture(scope="module")
def fuser(model: GatedFusion) -> Fuser:
    return model.fuser


@pytest.fixture(autouse=True)
def _no_gradients() -> object:
    with torch.no_grad():
        yield


def _encode(encoder: Encoder, inputs: Inputs | dict[str, Tensor | None]) -> tuple[Tensor, Tensor]:
    """What is exported: embedding and gate."""
    embedding, gate, *_ = encoder(**inputs)
    return embedding, gate


def _encode_inputs(frames: int = 6, captures: int = 3, seed: int = 0) -> Inputs:
    """Everything is present; frame `i` refers to capture `i % captures`."""
    drawn = random_inputs("encode", captures, frames, np.random.default_rng(seed))
    inputs = {name: torch.from_numpy(values) for name, values in drawn.items()}
    inputs["scene_mask"], inputs["csi_mask"] = torch.ones(captures, 3), torch.ones(frames, 1)
    inputs["scene_index"] = torch.arange(frames) % captures
    return inputs


def _garbage(values: Tensor) -> Tensor:
    """Other content of the same shape, far outside of what is legal (but finite)."""
    draw = torch.Generator().manual_seed(99)
    if values.dtype == torch.uint8:
        return torch.randint(0, 256, values.shape, generator=draw, dtype=torch.uint8)
    return 1e4 * torch.randn(values.shape, generator=draw)


def _fuse_inputs(frames: int = 4, steps: int = TRAJECTORY_LEN, seed: int = 0) -> Inputs:
    draw = torch.Generator().manual_seed(seed)
    age = torch.cumsum(torch.rand(frames, steps, generator=draw), 1).flip(1)
    return {
        "embedding": 2 * torch.rand(frames, steps, 128, generator=draw) - 1,
        "age": age - age[:, -1:],
        "step_mask": torch.ones(frames, steps),
        "text": torch.zeros(frames, 16, dtype=torch.int64),
    }


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda s: "".join(str(int(v)) for v in s))
def test_missing_modality_has_no_weight_and_its_content_cannot_change_the_answer(
    encoder: Encoder, subset: tuple[float, ...]
) -> None:
    inputs = _encode_inputs()
    inputs["csi_mask"][:] = subset[0]
    inputs["scene_mask"][:] = torch.tensor(subset[1:])
    embedding, gate = _encode(encoder, inputs)
    poisoned = dict(inputs)
    for name, present in zip(MODALITIES, subset, strict=True):
        if not present:
            poisoned |= {n: _garbage(inputs[n]) for n in (RADIO if name == "csi" else (name,))}
    same_embedding, same_gate = _encode(encoder, poisoned)
    torch.testing.assert_close(gate.sum(1), torch.ones(len(gate)))
    if any(subset):
        assert (gate[:, torch.tensor(subset) == 0] == 0).all()
        assert (gate[:, torch.tensor(subset) == 1] > 0).all()
    assert torch.equal(embedding, same_embedding)
    assert torch.equal(gate, same_gate)


@pytest.mark.parametrize("name", [*RADIO, *SCENE])
def test_every_input_that_is_present_counts(encoder: Encoder, name: str) -> None:
    inputs = _encode_inputs()
    changed = inputs | {name: inputs[name].flip(-1) if inputs[name].shape[-1] > 1 else inputs[name] + 1}
    assert (_encode(encoder, changed)[0] - _encode(encoder, inputs)[0]).abs().max() > 1e-5


def test_missing_modality_of_one_frame_is_not_that_of_its_batch_mates(encoder: Encoder) -> None:
    inputs = _encode_inputs()
    expected, _ = _encode(encoder, inputs)
    inputs["csi_mask"][0] = 0
    inputs["scene_mask"][1, 0] = 0  # the camera of frames 1 and 4
    embedding, gate = _encode(encoder, inputs)
    assert gate[0, 0] == 0
    assert (gate[[1, 4], 1] == 0).all()
    assert torch.equal(embedding[[2, 3, 5]], expected[[2, 3, 5]])
    assert (embedding[[0, 1, 4]] - expected[[0, 1, 4]]).abs().amax(1).min() > 1e-5


def test_capture_reaches_only_the_frames_that_refer_to_it(encoder: Encoder) -> None:
    inputs = _encode_inputs()
    expected, _ = _encode(encoder, inputs)
    for name in SCENE:
        inputs[name] = inputs[name].clone()
        inputs[name][1] = _garbage(inputs[name][1]).abs().clamp(max=255).to(inputs[name].dtype)
    got, _ = _encode(encoder, inputs)
    others = torch.tensor([0, 2, 3, 5])
    assert torch.equal(got[others], expected[others])
    assert (got[[1, 4]] - expected[[1, 4]]).abs().amax(1).min() > 1e-5


def test_channel_reaches_only_its_own_frame(encoder: Encoder) -> None:
    inputs = _encode_inputs()
    expected, _ = _encode(encoder, inputs)
    for name in RADIO:
        inputs[name] = inputs[name].clone()
        inputs[name][3] = _garbage(inputs[name][3])
    got, _ = _encode(encoder, inputs)
    others = torch.tensor([0, 1, 2, 4, 5])
    assert torch.equal(got[others], expected[others])
    assert (got[3] - expected[3]).abs().max() > 1e-5


def test_order_of_frames_and_captures_does_not_matter(encoder: Encoder) -> None:
    inputs = _encode_inputs()
    frames, captures = torch.tensor([4, 2, 0, 5, 1, 3]), torch.tensor([2, 0, 1])
    shuffled = {name: inputs[name][captures] for name in (*SCENE, "scene_mask")}
    shuffled |= {name: inputs[name][frames] for name in (*RADIO, "csi_mask")}
    shuffled["scene_index"] = torch.argsort(captures)[inputs["scene_index"][frames]]
    for expected, got in zip(_encode(encoder, inputs), _encode(encoder, shuffled), strict=True):
        torch.testing.assert_close(got, expected[frames], atol=1e-5, rtol=1e-5)


def test_frame_alone_gets_the_answer_that_it_gets_in_a_batch(encoder: Encoder) -> None:
    inputs = _encode_inputs()
    together = _encode(encoder, inputs)
    for frame in range(6):
        capture = slice(frame % 3, frame % 3 + 1)
        alone = {name: inputs[name][capture] for name in (*SCENE, "scene_mask")}
        alone |= {name: inputs[name][frame : frame + 1] for name in (*RADIO, "csi_mask")}
        for expected, got in zip(
            together, _encode(encoder, alone | {"scene_index": torch.zeros(1, dtype=torch.int64)}), strict=True
        ):
            torch.testing.assert_close(got[0], expected[frame], atol=1e-5, rtol=1e-5)


def test_frames_grouped_by_capture_get_what_gathered_frames_get(encoder: Encoder) -> None:
    inputs = _encode_inputs() | {"scene_index": torch.arange(3).repeat_interleave(2)}
    expected = _encode(encoder, inputs)
    for grouped, gathered in zip(_encode(encoder, inputs | {"scene_index": None}), expected, strict=True):
        torch.testing.assert_close(grouped, gathered, atol=1e-5, rtol=1e-5)


def test_modality_left_out_in_training_is_one_that_is_masked_in_serving(encoder: Encoder) -> None:
    inputs = _encode_inputs()
    inputs["scene_mask"][:] = torch.tensor([0.0, 1.0, 0.0])
    inputs["csi_mask"][:] = 0
    left_out: dict[str, Tensor | None] = dict(inputs)
    left_out |= dict.fromkeys((*RADIO, "camera", "lidar"))
    for expected, got in zip(_encode(encoder, inputs), _encode(encoder, left_out), strict=True):
        assert torch.equal(got, expected)


def test_later_steps_never_change_earlier_answers(fuser: Fuser) -> None:
    inputs = _fuse_inputs()
    expected = fuser(**inputs)
    changed = dict(inputs, embedding=inputs["embedding"].clone(), step_mask=inputs["step_mask"].clone())
    changed["embedding"][:, 5:] = 50
    changed["step_mask"][:, 6] = 0
    got = fuser(**changed)
    for name in PER_STEP:
        assert torch.equal(got[name][:, :5], expected[name][:, :5])
        assert not torch.allclose(got[name][:, 5:], expected[name][:, 5:], atol=1e-3)


def test_masked_steps_change_nothing(fuser: Fuser) -> None:
    inputs = _fuse_inputs()
    mask = torch.tensor([[0, 1, 0, 1, 1, 0, 1, 1], [0] * 7 + [1], [1] * 8, [0] * 4 + [1] * 4]).float()
    inputs["step_mask"] = mask
    expected = fuser(**inputs)
    poisoned = dict(inputs)
    poisoned["embedding"] = torch.where(mask.bool().unsqueeze(-1), inputs["embedding"], _garbage(inputs["embedding"]))
    poisoned["age"] = torch.where(mask.bool(), inputs["age"], 1000 * torch.rand(4, 8))
    got = fuser(**poisoned)
    for name in PER_STEP:
        assert torch.equal(got[name][:, -1], expected[name][:, -1])
    weight = got["step_weight"][:, -1]
    assert torch.equal(weight, expected["step_weight"][:, -1])
    assert (weight[mask == 0] == 0).all()
    torch.testing.assert_close(weight.sum(1), torch.ones(4))


@pytest.mark.parametrize("length", range(1, TRAJECTORY_LEN))
def test_padded_trajectory_is_answered_like_the_short_one(fuser: Fuser, length: int) -> None:
    short = _fuse_inputs(steps=length)
    pad = TRAJECTORY_LEN - length
    padded = dict(short)
    padded["embedding"] = torch.nn.functional.pad(short["embedding"], (0, 0, pad, 0))
    padded |= {name: torch.nn.functional.pad(short[name], (pad, 0)) for name in ("age", "step_mask")}
    expected, got = fuser(**short), fuser(**padded)
    for name in PER_STEP:
        torch.testing.assert_close(got[name][:, pad:], expected[name], atol=1e-4, rtol=1e-5)


def test_steps_before_the_newest_one_count_and_so_does_when_they_were(fuser: Fuser) -> None:
    inputs = _fuse_inputs()
    expected = fuser(**inputs)["position"][:, -1]
    without = dict(inputs, step_mask=inputs["step_mask"].clone())
    without["step_mask"][:, 3] = 0
    uneven = dict(inputs, age=torch.where(torch.arange(8) < 4, inputs["age"] + 5, inputs["age"]))
    for other in (without, uneven):
        assert (fuser(**other)["position"][:, -1] - expected).norm(dim=-1).min() > 1e-4


def test_only_the_time_between_steps_counts(fuser: Fuser) -> None:
    inputs = _fuse_inputs()
    shifted = fuser(**inputs | {"age": inputs["age"] + 2.0})
    for name, expected in fuser(**inputs).items():
        torch.testing.assert_close(shifted[name], expected, atol=1e-4, rtol=1e-4)


def test_trajectories_of_a_batch_do_not_mix(fuser: Fuser) -> None:
    inputs = _fuse_inputs()
    together = fuser(**inputs)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = fuser(**{name: values[order] for name, values in inputs.items()})
    alone = fuser(**{name: values[1:2] for name, values in inputs.items()})
    for name, expected in together.items():
        torch.testing.assert_close(shuffled[name], expected[order], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone[name][0], expected[1], atol=1e-5, rtol=1e-5)


def test_instruction_steers_the_answer_and_alone_decides_the_tasks(fuser: Fuser) -> None:
    inputs = _fuse_inputs()
    text = inputs["text"].clone()
    text[:, :3] = torch.tensor([5, 9, 14])
    silent, asked = fuser(**inputs), fuser(**inputs | {"text": text})
    other = fuser(**_fuse_inputs(seed=1) | {"text": text})
    # It steers where the attention looks, so there must be something before.
    assert (asked["position"] - silent["position"])[:, 1:].norm(dim=-1).min() > 1e-4
    assert not torch.allclose(asked["task_logits"], silent["task_logits"], atol=1e-3)
    assert torch.equal(asked["task_logits"], other["task_logits"])


def test_estimates_survive_packing() -> None:
    draw = torch.Generator().manual_seed(0)
    mean = 200 * torch.randn(100, 3, 2, generator=draw)
    scale = torch.randn(100, 3, 3, generator=draw)
    scale[..., [0, 2]] = scale[..., [0, 2]].exp()
    logit = 5 * torch.randn(100, 3, 1, generator=draw)
    embedding = torch.cat([torch.rand(100, 3, 122, generator=draw), pack_estimates(mean, scale, logit)], -1)
    assert embedding.shape[-1] == 128
    got_mean, got_scale, got_logit = unpack_estimates(embedding)
    torch.testing.assert_close(got_mean, mean)
    torch.testing.assert_close(got_scale, scale, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(got_logit, logit.squeeze(-1))


def test_half_precision_of_the_buffer_costs_centimetres() -> None:
    mean = 199 * (2 * torch.rand(2000, 2, generator=torch.Generator().manual_seed(0)) - 1)
    packed = pack_estimates(mean, torch.ones(2000, 3), torch.zeros(2000, 1))
    assert (unpack_estimates(packed.half().float())[0] - mean).abs().max() < 0.06


def _domains(model: Novelty) -> tuple[Tensor, Tensor]:
    """Two correlated clouds of embeddings, fitted."""
    draw = torch.Generator().manual_seed(0)
    mix = torch.randn(128, 128, generator=draw) / 8
    street = torch.randn(3000, 128, generator=draw) @ mix + 1
    room = 0.1 * torch.randn(3000, 128, generator=draw) - 2
    for domain, embeddings in enumerate((street, room)):
        model.fit(domain, embeddings, shrinkage=0.05)
    return street, room


def test_novelty_is_the_mahalanobis_distance_to_the_nearest_domain() -> None:
    novelty = Novelty(2)
    street, room = _domains(novelty)
    probe = torch.cat([street[:5], room[:5], torch.zeros(5, 128)])
    distances = []
    for cloud in (street.double(), room.double()):
        covariance = torch.from_numpy(np.cov(cloud.numpy().T))
        shrunk = 0.95 * covariance + 0.05 * covariance.diagonal().mean() * torch.eye(128)
        away = probe.double() - cloud.mean(0)
        distances.append(((away @ torch.linalg.inv(shrunk)) * away).sum(1) / 128)
    torch.testing.assert_close(novelty(probe), torch.minimum(*distances).float(), atol=1e-3, rtol=1e-3)


def test_novelty_is_about_one_for_training_data_of_either_domain_and_larger_elsewhere() -> None:
    novelty = Novelty(2)
    for cloud in _domains(novelty):
        assert 0.8 < novelty(cloud).mean() < 1.1
    assert novelty(torch.full((1, 128), 5.0)).item() > 10
