"""Mixtures of experts that route softly inside a sample: slots are static and batch-mates never meet (SCADF-MoE).

With soft routing every expert runs on every sample, so a graph has no data-dependent branch, its answer does not
depend on the batch, and the routers' weights can be read as shares. Hard routing is here to be compared with.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Routing = Literal["soft", "hard", "none"]
KEPT = 2  # slots that hard routing leaves


def route(logits: Tensor, routing: Routing, mask: Tensor | None = None) -> Tensor:
    """Weights `[..., S]` of S slots, from logits of that shape.

    Args:
        routing: `soft` a softmax; `hard` a softmax over the two largest logits, the others get exactly 0; `none` equal
            weights.
        mask: `[..., S]` 1 where a slot is present; others get exactly 0. Where none is present all weights are 0.
    """
    if routing == "none":
        logits = torch.zeros_like(logits)
    if mask is not None:
        logits = logits + (1 - mask) * -1e4
    if routing == "hard":
        kept = logits >= logits.topk(min(KEPT, logits.shape[-1]), -1).values[..., -1:]
        logits = logits + (1 - kept.to(logits.dtype)) * -1e4
    weight = torch.softmax(logits, -1)
    return weight if mask is None else weight * mask


class CueRouter(nn.Module):
    """How much each cue of a frame counts, from what all of them say and from their context, such as the carrier."""

    def __init__(self, cues: int, dim: int, context: int, routing: Routing = "soft") -> None:
        super().__init__()
        self.routing: Routing = routing
        self.score = nn.Sequential(nn.Linear(cues * (dim + 1) + context, dim), nn.ReLU(), nn.Linear(dim, cues))

    def forward(self, cues: Tensor, mask: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Cues `[N, C, dim]`, mask `[N, C]` and context `[N, K]` to weighted cues `[N, C, dim]` and weights `[N, C]`.

        The weighted cues are on the scale of the given ones where all count alike.
        """
        logits = self.score(torch.cat([(cues * mask.unsqueeze(-1)).flatten(1), mask, context], 1))
        weight = route(logits, self.routing, mask)
        return cues * (weight * cues.shape[1]).unsqueeze(-1), weight


class TaskExperts(nn.Module):
    """Experts shared by tasks, each of which mixes them by a router of its own (Ma et al. 2018, multi-gate MoE).

    With `routing="none"` there is one expert, as wide as all of them, and no router.
    """

    def __init__(self, dim: int, tasks: int, experts: int = 4, routing: Routing = "soft") -> None:
        super().__init__()
        self.routing: Routing = routing
        slots, hidden = (1, dim * experts) if routing == "none" else (experts, dim)
        self.enter = nn.Linear(dim, slots * hidden)
        self.leave = nn.Parameter(torch.randn(slots, hidden, dim) * hidden**-0.5)
        self.score = nn.Linear(dim, tasks * slots)
        self.slots, self.tasks = slots, tasks

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features `[..., dim]` to mixtures `[..., tasks, dim]`, weights `[..., tasks, E]`, outputs `[..., E, dim]`."""
        hidden = torch.nn.functional.gelu(self.enter(features)).unflatten(-1, (self.slots, -1))  # [..., E, hidden]
        by_expert = hidden.flatten(0, -3).transpose(0, 1)  # [E, N, hidden]: one product an expert, not one a sample
        outputs = (by_expert @ self.leave).transpose(0, 1).unflatten(0, features.shape[:-1])
        weight = route(self.score(features).unflatten(-1, (self.tasks, self.slots)), self.routing)
        return weight @ outputs + features.unsqueeze(-2), weight, outputs
