"""The training objective of gated fusion: position, line of sight and activity, weighted by learned uncertainty."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from models.data.batches import Batch
from models.estimates import unpack_estimates
from models.losses import UncertaintyWeights, position_loss
from models.systems.gated_fusion import GatedFusion
from service.contract.labels import TASKS

_FRAME_SHARE = 0.5  # weight of a single frame's estimates, fused and radio alone, beside the trajectory's


class GatedFusionObjective(nn.Module):
    """Loss of a model on batches; holds the task weights, which are trained along."""

    def __init__(self, model: GatedFusion) -> None:
        super().__init__()
        self.model = model
        self.weights = UncertaintyWeights((*TASKS, "text"))

    def forward(self, batches: list[Batch], text: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Total loss and the plain loss of each task.

        Args:
            batches: any mix of ray-traced and radar batches.
            text: int64 `[N, 16]` instructions, dealt out over the rows of the batches; every other row gets none.
            wanted: float32 `[N, 3]` tasks that each instruction asks for.
        """
        losses: dict[str, Tensor] = {}
        for batch in batches:
            rows = len(batch.age)
            tokens = text[torch.arange(rows) % len(text)] * (torch.arange(rows) % 2).unsqueeze(1)
            embedding, _, radio = self.model.encoder(**batch.inputs)
            embedding = batch.by_row(embedding)
            answers = self.model.fuser(embedding, batch.age, batch.step_mask, tokens)
            for task, loss in _task_losses(batch, embedding, batch.by_row(radio), answers).items():
                losses[task] = losses.get(task, torch.zeros(())) + loss
        zeros = torch.zeros(len(text), 1, embedding.shape[-1])
        said = self.model.fuser(zeros, torch.zeros(len(text), 1), torch.ones(len(text), 1), text)
        losses["text"] = binary_cross_entropy_with_logits(said["task_logits"], wanted)
        return self.weights(losses), {task: float(loss.detach()) for task, loss in losses.items()}


def _task_losses(batch: Batch, embedding: Tensor, radio: Tensor, answers: dict[str, Tensor]) -> dict[str, Tensor]:
    present = batch.step_mask * batch.known
    if not present.any():
        return {}
    share = present / present.sum()
    losses: dict[str, Tensor] = {}
    if "position" in batch.truth:
        own_mean, own_scale, own_los = unpack_estimates(embedding)
        truth, los = batch.truth["position"], batch.truth["los"]
        fused = position_loss(answers["position"] - truth, answers["scale_tril"])
        single = position_loss(own_mean - truth, own_scale)
        coarse_mean, coarse_scale, _ = unpack_estimates(radio)
        coarse = position_loss(coarse_mean - truth, coarse_scale)
        losses["position"] = ((fused + _FRAME_SHARE * (single + coarse)) * share).sum()
        weight = share * _balance(los, present)
        both = binary_cross_entropy_with_logits(answers["los_logit"], los, reduction="none")
        both = both + _FRAME_SHARE * binary_cross_entropy_with_logits(own_los, los, reduction="none")
        losses["los"] = (both * weight).sum()
    if "activity" in batch.truth:
        logits = answers["activity_logits"]
        each = cross_entropy(
            logits.flatten(0, 1), batch.truth["activity"].flatten(), label_smoothing=0.05, reduction="none"
        )
        losses["activity"] = (each.view_as(present) * share).sum()
    return losses


def _balance(los: Tensor, present: Tensor) -> Tensor:
    """Weights that let both classes count alike, so that the balanced accuracy is what is trained."""
    seen = (los * present).sum() / present.sum()
    seen = seen.clamp(0.05, 0.95)
    return torch.where(los > 0.5, 0.5 / seen, 0.5 / (1 - seen))
