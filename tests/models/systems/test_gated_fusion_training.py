from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.data import instructions
from models.data.batches import Batch, radar_batch, radio_inputs, scene_windows
from models.estimates import pack_estimates
from models.systems.gated_fusion import GatedFusion
from models.systems.gated_fusion_training import GatedFusionObjective
from service.contract.labels import MODALITIES
from tests.models.toy import recording, scene_set

ROWS, STEPS = 6, 4


class _Stub(nn.Module):
    """A model that says the same of every frame; only its fused positions differ."""

    def __init__(self, los_logit: float, error_m: Tensor) -> None:
        super().__init__()
        self.los_logit, self.error_m = los_logit, error_m  # [rows, steps, 2]

    def encoder(self, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        scale = torch.tensor([2.0, 0.0, 2.0]).expand(frames, 3)
        packed = pack_estimates(torch.zeros(frames, 2), scale, torch.full((frames, 1), self.los_logit))
        return torch.cat([torch.zeros(frames, 122), packed], 1), torch.full((frames, 4), 0.25), packed

    def fuser(self, embedding: Tensor, age: Tensor, step_mask: Tensor, text: Tensor) -> dict[str, Tensor]:
        lead = embedding.shape[:2]
        position = self.error_m if lead == self.error_m.shape[:2] else torch.zeros(*lead, 2)
        return {
            "position": position,
            "scale_tril": torch.tensor([2.0, 0.0, 2.0]).expand(*lead, 3),
            "los_logit": torch.full(lead, self.los_logit),
            "activity_logits": torch.zeros(*lead, 5),
            "task_logits": torch.zeros(len(embedding), 3),
        }


def _losses(
    los: Tensor, mask: Tensor, los_logit: float = 0.0, error_m: Tensor | None = None, known: Tensor | None = None
) -> dict[str, float]:
    truth = {"position": torch.zeros(ROWS, STEPS, 2), "los": los}
    known = torch.ones(ROWS, STEPS) if known is None else known
    batch = Batch({"frames": ROWS * STEPS}, ROWS, torch.zeros(ROWS, STEPS), mask, known, truth)
    stub = _Stub(los_logit, torch.zeros(ROWS, STEPS, 2) if error_m is None else error_m)
    objective = GatedFusionObjective(stub)
    return objective([batch], torch.ones(4, 16, dtype=torch.int64), torch.ones(4, 3))[1]


@pytest.mark.parametrize("seen", [2, 12, 22])
def test_both_classes_of_line_of_sight_count_alike_however_rare_one_is(seen: int) -> None:
    los = (torch.arange(ROWS * STEPS) < seen).float().view(ROWS, STEPS)
    loss = _losses(los, torch.ones(ROWS, STEPS), los_logit=2.0)["los"]
    right, wrong = math.log1p(math.exp(-2.0)), math.log1p(math.exp(2.0))
    assert loss == pytest.approx(1.5 * 0.5 * (right + wrong), rel=1e-5)  # the single frame's own estimate counts half


@pytest.mark.parametrize("hidden_by", ["mask", "known"])
def test_steps_that_are_masked_or_unknown_are_not_trained_on(hidden_by: str) -> None:
    given = {"mask": torch.ones(ROWS, STEPS), "known": torch.ones(ROWS, STEPS)}
    hidden = given[hidden_by]
    hidden[0, 1] = hidden[4, 0] = 0
    error_m = torch.zeros(ROWS, STEPS, 2)
    los = (torch.arange(ROWS * STEPS) % 2).float().view(ROWS, STEPS)
    expected = _losses(los, los_logit=2.0, error_m=error_m, **given)
    error_m[hidden == 0], los[hidden == 0] = 1e3, 1 - los[hidden == 0]
    assert _losses(los, los_logit=2.0, error_m=error_m, **given) == pytest.approx(expected, rel=1e-6)
    error_m[0, 0] = 1e3
    assert _losses(los, los_logit=2.0, error_m=error_m, **given)["position"] > expected["position"] + 1


def test_batch_without_any_label_has_no_loss_to_weigh() -> None:
    ones = torch.ones(ROWS, STEPS)
    assert set(_losses(ones, ones, known=torch.zeros(ROWS, STEPS))) == {"text"}


def test_uninformed_answers_cost_what_chance_costs() -> None:
    losses = _losses((torch.arange(ROWS * STEPS) % 2).float().view(ROWS, STEPS), torch.ones(ROWS, STEPS))
    assert losses["los"] == pytest.approx(1.5 * math.log(2), rel=1e-5)
    assert losses["text"] == pytest.approx(math.log(2), rel=1e-5)


def test_training_reaches_every_weight_and_lowers_every_loss() -> None:
    torch.manual_seed(0)
    data = scene_set(episodes=1, snapshots=3, ues=2)
    radio = radio_inputs(data.gain, data.site.bandwidth_hz or 0)
    street = scene_windows(data, np.array([0]), np.array([0]), 3, radio, MODALITIES)
    people = [recording(activity) for activity in (0, 4)]
    room = radar_batch([r.window(k) for r in people for k in range(3)], 3, [r.activity for r in people])
    text, wanted = (torch.from_numpy(values) for values in instructions.draw(8, np.random.default_rng(0)))
    objective = GatedFusionObjective(GatedFusion()).train()
    optimizer = torch.optim.AdamW(objective.parameters(), 8e-4)
    history = []
    for _ in range(20):
        optimizer.zero_grad()
        loss, parts = objective([street, room], text, wanted)
        loss.backward()
        history.append(parts)
        untouched = [n for n, p in objective.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert untouched == []
        optimizer.step()
    assert set(history[0]) == {"position", "los", "activity", "text"}
    for task, before in history[0].items():
        assert history[-1][task] < before
