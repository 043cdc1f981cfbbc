"""The objective of SCADF-MoE: vertices, centroid, line of sight, and experts that differ.

Trained in two stages. The frames of a trajectory are neighbours, so a batch of trajectories tells the encoder far less
than one of strangers: first the encoder learns from frames that stand alone (`FrameObjective`), then the fuser from
trajectories of their embeddings (`PathObjective`), which costs a fraction, for nothing is encoded twice.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from models.data.radio_batches import Trajectories
from models.estimates import unpack_estimates
from models.losses import position_loss, squared_mmd
from models.systems.scadf_moe import Fuser, ScadfMoe

MMD_SAMPLES = 64  # vertices whose expert outputs are compared in a batch
_SINGLE = 0.5  # weight of the frame's own estimate, and of the centroid, beside that of the fused vertices


def answers(model: ScadfMoe, batch: Trajectories) -> tuple[Tensor, dict[str, Tensor]]:
    """Embeddings `[R, T, 128]` and the fuser's answers."""
    with torch.autocast(batch.age.device.type, torch.bfloat16, enabled=model.training):
        embedding, _ = model.encoder(**batch.inputs)
    embedding = embedding.float()[batch.place]
    return embedding, model.fuser(embedding, batch.age, batch.step_mask)


def multi_task_loss(
    embedding: Tensor, out: dict[str, Tensor], batch: Trajectories, diversity: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch and its parts by task, as used: `vertex`, `centroid`, `los`, `single`; `mmd`, unweighted.

    Args:
        embedding: `[R, T, 128]`.
        out: the fuser's answers.
        batch: with the truth.
        diversity: weight of the mean squared MMD between the experts' outputs, which is made large.
    """
    share = batch.step_mask / batch.step_mask.sum()
    own, own_scale, own_logit = unpack_estimates(embedding)
    middle = (batch.position * (batch.step_mask / batch.step_mask.sum(1, keepdim=True)).unsqueeze(-1)).sum(1)
    logits = torch.stack([out["los_logit"], own_logit])
    crosses = binary_cross_entropy_with_logits(logits, batch.los.expand_as(logits), reduction="none")
    parts = {
        "vertex": (position_loss(out["position"] - batch.position, out["scale_tril"]) * share).sum(),
        "centroid": _SINGLE * position_loss(out["centroid"] - middle, out["centroid_scale_tril"]).mean(),
        "los": ((crosses[0] + _SINGLE * crosses[1]) * share).sum(),
        "single": _SINGLE * (position_loss(own - batch.position, own_scale) * share).sum(),
    }
    loss = torch.stack(list(parts.values())).sum()
    experts = out["expert_outputs"][batch.step_mask > 0]  # [N, E, 128]
    if experts.shape[1] > 1 and diversity > 0:
        some = torch.randperm(len(experts), device=experts.device)[:MMD_SAMPLES]
        parts["mmd"] = squared_mmd(normalize(experts[some], dim=-1).transpose(0, 1), bandwidth=0.5)
        loss = loss - diversity * parts["mmd"]
    return loss, parts


class FrameObjective(nn.Module):
    """The loss of the whole model on a batch of cues.

    Args:
        model: all of it.
        diversity: as in `multi_task_loss`.
        dropped: share of the frames in which each cue is hidden: a network may not measure the distance, and a router
            that never misses a cue need not learn what the others are worth.
    """

    def __init__(self, model: ScadfMoe, diversity: float, dropped: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.model, self.diversity, self.dropped = model, diversity, dropped

    def forward(self, batch: Trajectories) -> tuple[Tensor, dict[str, Tensor]]:
        """See `multi_task_loss`."""
        if self.training and self.dropped:
            used = batch.inputs["cue_mask"] * self.model.encoder.used
            batch = replace(batch, inputs={**batch.inputs, "cue_mask": hide(used, self.dropped)})
        return multi_task_loss(*answers(self.model, batch), batch, self.diversity)


def hide(cue_mask: Tensor, dropped: tuple[float, ...]) -> Tensor:
    """The mask `[N, 4]` with cues hidden at random, but never all that a frame has."""
    drawn = torch.rand(cue_mask.shape, device=cue_mask.device)
    kept = cue_mask * (drawn >= torch.tensor(dropped, device=cue_mask.device)).float()
    return torch.where(kept.any(1, keepdim=True), kept, cue_mask)


class PathObjective(nn.Module):
    """The loss of the fuser alone on a batch of embeddings; `diversity` as in `multi_task_loss`."""

    def __init__(self, fuser: Fuser, diversity: float) -> None:
        super().__init__()
        self.fuser, self.diversity = fuser, diversity

    def forward(self, batch: Trajectories) -> tuple[Tensor, dict[str, Tensor]]:
        """See `multi_task_loss`."""
        assert batch.embedding is not None
        embedding = batch.embedding[batch.place]
        out = self.fuser(embedding, batch.age, batch.step_mask)
        return multi_task_loss(embedding, out, batch, self.diversity)


def interference(model: ScadfMoe, batch: Trajectories) -> dict[str, float]:
    """Cosine between the gradients of each two tasks on what they share: the encoder and the trajectory network.

    Negative where a step for one task sets the other back (Yu et al. 2020, definition 1).
    """
    shared = [p for m in (model.encoder.tokens, model.encoder.mix, model.fuser.layers) for p in m.parameters()]
    _, parts = multi_task_loss(*answers(model, batch), batch, 0.0)
    tasks = [task for task in ("vertex", "centroid", "los") if parts[task].requires_grad]
    flat = {}
    for task in tasks:
        found = torch.autograd.grad(parts[task], shared, retain_graph=True, allow_unused=True)
        gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(shared, found, strict=True)]
        flat[task] = torch.cat([gradient.flatten() for gradient in gradients])
    pairs = [(a, b) for i, a in enumerate(tasks) for b in tasks[i + 1 :]]
    return {f"{a}-{b}": float(torch.cosine_similarity(flat[a], flat[b], dim=0)) for a, b in pairs}
