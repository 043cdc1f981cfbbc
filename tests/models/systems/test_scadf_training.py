from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.data.radio_batches import Radio, Trajectories, gather, trajectory_batches
from models.data.trajectories import Grouping, temporal
from models.moe import Routing
from models.systems.scadf_moe import Design, ScadfMoe
from models.systems.scadf_training import FrameObjective, answers, hide, interference

ONE_LAYER = Design(layers=1)
TASKS = ("vertex", "centroid", "los", "single")


@pytest.fixture(scope="module")
def batch(radio: dict[str, Radio]) -> Trajectories:
    """A few trajectories, some of them padded."""
    every = temporal(radio["train"].frames, 4)
    rows = np.random.default_rng(0).permutation(len(every.index))[:12]
    grouping = Grouping(every.index[rows], every.mask[rows], every.age_s[rows])
    assert not grouping.mask.all()
    return gather(radio["train"], grouping, np.arange(12) % 3)


def _objective(diversity: float = 0.1, design: Design = ONE_LAYER) -> FrameObjective:
    torch.manual_seed(0)
    return FrameObjective(ScadfMoe(design, 2), diversity)


def _steps(objective: FrameObjective, batch: Trajectories, count: int) -> list[float]:
    """Loss of each of some training steps."""
    optimizer = torch.optim.AdamW(objective.parameters(), 1e-3)
    objective.train()
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss, _ = objective(batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_loss_is_the_sum_of_its_parts_less_the_diversity_of_the_experts(batch: Trajectories) -> None:
    loss, parts = _objective(diversity=0.3).eval()(batch)
    assert tuple(parts) == (*TASKS, "mmd")
    torch.testing.assert_close(loss, sum(parts[task] for task in TASKS) - 0.3 * parts["mmd"])
    assert 0 < parts["mmd"] < 2


@pytest.mark.parametrize(("diversity", "routing"), [(0.0, "soft"), (0.1, "none")])
def test_without_weight_or_several_experts_there_is_no_discrepancy(
    batch: Trajectories, diversity: float, routing: Routing
) -> None:
    loss, parts = _objective(diversity, Design(routing=routing, layers=1)).eval()(batch)
    assert tuple(parts) == TASKS
    torch.testing.assert_close(loss, sum(parts.values()))


def test_padding_is_not_trained_on(batch: Trajectories) -> None:
    objective = _objective(diversity=0).eval()
    there = batch.step_mask > 0
    moved = batch.position.where(there.unsqueeze(-1), torch.tensor(1e4))
    other = replace(batch, position=moved, los=batch.los.where(there, 1 - batch.los))
    expected, parts = objective(batch)[1], objective(other)[1]
    for task in TASKS:
        assert torch.equal(expected[task], parts[task]), task
    far = replace(batch, position=batch.position + 1e3)
    assert all(objective(far)[1][task] > expected[task] for task in ("vertex", "centroid", "single"))


def test_answers_are_of_the_embeddings_at_each_vertex(batch: Trajectories) -> None:
    model = _objective().model.eval()
    embedding, out = answers(model, batch)
    encoded, _ = model.encoder(**batch.inputs)
    assert torch.equal(embedding, encoded[batch.place])
    assert out["position"].shape == (12, 4, 2)


def test_training_lowers_every_loss(batch: Trajectories) -> None:
    objective = _objective()
    losses = _steps(objective, batch, 40)
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] - 1
    before, after = _objective().train()(batch)[1], objective(batch)[1]
    for task in TASKS:
        assert after[task] < before[task], task


def test_weight_on_diversity_drives_the_experts_apart(batch: Trajectories) -> None:
    found = {}
    for diversity, steps in ((0.0, 0), (0.0, 10), (10.0, 10)):
        objective = _objective(diversity)
        _steps(objective, batch, steps)
        objective.diversity = 1.0
        found[diversity, steps] = float(objective.eval()(batch)[1]["mmd"].detach())
    assert found[10.0, 10] > max(found[0.0, 0], found[0.0, 10]) + 0.05


@pytest.mark.parametrize("design", [ONE_LAYER, Design(layers=0), Design(routing="none", layers=1)])
def test_interference_is_a_cosine_for_each_two_tasks(radio: dict[str, Radio], design: Design) -> None:
    objective = _objective(design=design).eval()
    before = [p.clone() for p in objective.parameters()]
    batch = next(trajectory_batches(radio["val"], 4, 0.0, 30, np.random.default_rng(0)))
    found = interference(objective.model, batch)
    assert set(found) == {"vertex-centroid", "vertex-los", "centroid-los"}
    assert all(-1 <= value <= 1 for value in found.values())
    assert all(p.grad is None for p in objective.parameters())
    assert all(torch.equal(p, q) for p, q in zip(objective.parameters(), before, strict=True))


def test_cues_are_hidden_as_often_as_said_but_never_all_of_a_frame() -> None:
    torch.manual_seed(1)
    mask = torch.ones(4000, 4)
    mask[:500, 1:] = 0
    kept = hide(mask, (0.5, 0.0, 0.25, 1.0))
    assert torch.equal(kept[:500], mask[:500])  # nothing else to go by
    shares = kept[500:].mean(0)
    torch.testing.assert_close(shares, torch.tensor([0.5, 1.0, 0.75, 0.0]), atol=0.03, rtol=0)


def test_cues_are_hidden_in_training_only(batch: Trajectories) -> None:
    torch.manual_seed(0)
    objective = FrameObjective(ScadfMoe(ONE_LAYER, 2), 0.0, (0.9, 0.9, 0.9, 0.9)).eval()
    first, again = (float(objective(batch)[0].detach()) for _ in range(2))
    assert first == again
    objective.train()
    assert float(objective(batch)[0].detach()) != float(objective(batch)[0].detach())
