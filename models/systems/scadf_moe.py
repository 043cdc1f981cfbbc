"""SCADF-MoE: trajectories, dynamic fusion of cues, experts; in the style of arXiv 2507.01337.

Two graphs. *Encode* turns one frame's four cues into an embedding and the router's weights; *fuse* turns the embeddings
of neighbouring points, in serving the last frames of one UE, into the position of every vertex and of their centroid.
An embedding carries, beside learned features, the frame's own estimate of position, covariance and line of sight, so
that a trajectory of embeddings can be smoothed without seeing the cues again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.encoders.conditioned import ConditionedNet
from models.encoders.csi import PolarGuess
from models.encoders.cues import CueTokens, Fourier
from models.estimates import ESTIMATES, pack_estimates, unpack_estimates
from models.heads import GaussianHead
from models.moe import CueRouter, Routing, TaskExperts
from models.sequence import TrajectoryLayer
from service.contract.labels import CUES
from service.contract.tensors import EMBEDDING_DIM

DIM = 128
CONTEXT_DIM = 32  # of the carrier, and of the site
TASKS = ("vertex", "centroid", "los")
_RIDGE_S2 = 0.002  # of the line fit: below this variance of the ages a velocity means nothing


@dataclass(frozen=True)
class Design:
    """What of the system is there; every part can be left out, to see what it is worth.

    Attributes:
        cues: those that the model may use.
        routing: of the cues and of the experts.
        experts: of the modality-task mixture.
        layers: of the trajectory network; 0 where the vertices meet only in the line through them.
    """

    cues: tuple[str, ...] = CUES
    routing: Routing = "soft"
    experts: int = 4
    layers: int = 2


class Encoder(nn.Module):
    """One frame's cues to its embedding."""

    def __init__(self, design: Design, sites: int) -> None:
        super().__init__()
        self.register_buffer("used", torch.tensor([float(cue in design.cues) for cue in CUES]), persistent=False)
        self.tokens = CueTokens(DIM, 2 * CONTEXT_DIM)
        self.carrier = nn.Sequential(nn.Linear(1, CONTEXT_DIM), nn.ReLU(), nn.Linear(CONTEXT_DIM, CONTEXT_DIM))
        self.site = nn.Embedding(sites + 1, CONTEXT_DIM)  # the last is any other site
        self.router = CueRouter(len(CUES), DIM, 2 * CONTEXT_DIM, design.routing)
        self.polar = PolarGuess()
        self.place = Fourier(2, DIM)
        self.mix = ConditionedNet(((len(CUES) + 1) * DIM + len(CUES), 3 * DIM, 2 * DIM, DIM), 2 * CONTEXT_DIM)
        self.norm = nn.LayerNorm(DIM)
        self.middle = nn.Linear(2 * CONTEXT_DIM, 2)  # where UEs of a site are
        self.believe = nn.Linear(DIM, 1)  # in the polar guess, which out of line of sight is of a mirror image
        self.position = GaussianHead(DIM)
        self.los = nn.Linear(DIM, 1)
        self.features = nn.Sequential(nn.Linear(DIM, EMBEDDING_DIM - ESTIMATES), nn.Tanh())

    def forward(
        self, csi: Tensor, aoa: Tensor, distance: Tensor, gain: Tensor, cue_mask: Tensor, carrier: Tensor, site: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embedding `[N, 128]` and the router's weights `[N, 4]`, which sum to 1 where any cue is present.

        Args:
            csi: angle-delay planes `[N, 6, 32, 64]`.
            aoa: angle-of-arrival profile `[N, 64]`.
            distance: measured round trip, one way, `[N, 1]` in 100 m; anything where its mask is 0.
            gain: `[N, 1]` as `service.normalizers.cues.gain`.
            cue_mask: `[N, 4]` 1 where the cue is present.
            carrier: `[N, 1]` decades over 1 GHz, log10.
            site: int64 `[N]` number of the site, or the number of sites for any other.
        """
        mask = cue_mask * self.used
        context = torch.cat([self.carrier(carrier), self.site.weight[site]], 1)
        known = mask[:, 2:3]
        distance = torch.where(known > 0, distance, 0.0)
        tokens = self.tokens(csi, aoa, 100 * distance, gain, context)
        cues, weight = self.router(tokens, mask, context)
        guess = self.polar(aoa * mask[:, 1:2], distance)
        place = self.place(guess) * known
        fused = self.norm(self.mix(torch.cat([cues.flatten(1), place, mask], 1), context))
        believed = known * torch.sigmoid(self.believe(fused))
        base = guess * believed + 100 * self.middle(context) * (1 - believed)
        mean, scale = self.position(fused, base)
        return torch.cat([self.features(fused), pack_estimates(mean, scale, self.los(fused))], 1), weight


class Fuser(nn.Module):
    """The embeddings of a trajectory to the answers for all its vertices and their centroid."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.enter = nn.Linear(EMBEDDING_DIM, DIM)
        self.place = Fourier(2, DIM)
        self.relative = nn.Sequential(nn.Linear(3, DIM), nn.ReLU(), nn.Linear(DIM, DIM))
        self.layers = nn.ModuleList(TrajectoryLayer(DIM) for _ in range(design.layers))
        self.norm = nn.LayerNorm(DIM)
        self.trust = nn.Linear(DIM, 2)  # of the vertex in the line fit, and of the fit at the vertex
        self.experts = TaskExperts(DIM, len(TASKS), design.experts, design.routing)
        self.vertex, self.centroid = GaussianHead(DIM), GaussianHead(DIM)
        self.los = nn.Linear(DIM, 1)

    def forward(self, embedding: Tensor, age: Tensor, step_mask: Tensor) -> dict[str, Tensor]:
        """Answers by name.

        Args:
            embedding: `[B, T, 128]`; age: `[B, T]` s before the newest; step_mask: `[B, T]` 1 where a vertex is.

        Returns:
            position `[B, T, 2]` m, scale_tril `[B, T, 3]` m, los_logit `[B, T]`, centroid `[B, 2]` m,
            centroid_scale_tril `[B, 3]` m, step_weight `[B, T]` of the vertices in the line fit,
            expert_weight `[B, T, tasks, E]`, expert_outputs `[B, T, E, 128]`.
        """
        own, scale, logit = unpack_estimates(embedding)
        share = (step_mask / step_mask.sum(1, keepdim=True)).unsqueeze(-1)
        middle = (own * share).sum(1, keepdim=True)
        steps = self.enter(embedding) + self.place(own)
        steps = steps + self.relative(torch.cat([(own - middle) / 10, age.unsqueeze(-1)], -1))
        gap_s = age.unsqueeze(1) - age.unsqueeze(2)
        allowed = torch.maximum(step_mask.unsqueeze(1), torch.eye(age.shape[1], device=age.device))
        for layer in self.layers:
            steps = layer(steps, gap_s, allowed)
        steps = self.norm(steps)
        trust, follow = self.trust(steps).unbind(-1)
        vote = trust - torch.log(scale[..., 0] * scale[..., 2])
        line = line_fit(own, age, vote, step_mask)
        base = own + torch.sigmoid(follow).unsqueeze(-1) * (line - own)
        mixed, weight, outputs = self.experts(steps)
        position, scale_tril = self.vertex(mixed[..., 0, :], base)
        centroid, centroid_scale = self.centroid((mixed[..., 1, :] * share).sum(1), (position * share).sum(1))
        return {
            "position": position,
            "scale_tril": scale_tril,
            "los_logit": logit + self.los(mixed[..., 2, :]).squeeze(-1),
            "centroid": centroid,
            "centroid_scale_tril": centroid_scale,
            "step_weight": step_weights(vote, step_mask),
            "expert_weight": weight,
            "expert_outputs": outputs,
        }


def line_fit(place: Tensor, age: Tensor, logit: Tensor, step_mask: Tensor) -> Tensor:
    """Weighted least squares of a constant velocity through the vertices, at every vertex.

    What a Kalman smoother without process noise gives; the network weighs the vertices and says how far to follow.

    Args:
        place: `[B, T, 2]`; age: `[B, T]` s; logit: `[B, T]` of each vertex' weight; step_mask: `[B, T]`.
    """
    weight = step_weights(logit, step_mask).unsqueeze(-1)
    time = -age.unsqueeze(-1)
    mean_time, mean_place = (weight * time).sum(1, keepdim=True), (weight * place).sum(1, keepdim=True)
    spread = (weight * (time - mean_time) ** 2).sum(1, keepdim=True) + _RIDGE_S2
    velocity = (weight * (time - mean_time) * (place - mean_place)).sum(1, keepdim=True) / spread
    return mean_place + velocity * (time - mean_time)


def step_weights(logit: Tensor, step_mask: Tensor) -> Tensor:
    """Shares `[B, T]` of the vertices that are present, from logits of that shape."""
    return torch.softmax(logit + (1 - step_mask) * -1e4, 1)


class ScadfMoe(nn.Module):
    """Both graphs."""

    def __init__(self, design: Design, sites: int) -> None:
        super().__init__()
        self.encoder, self.fuser = Encoder(design, sites), Fuser(design)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.used.device
