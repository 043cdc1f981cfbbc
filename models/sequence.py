"""Attention over a short trajectory, causal and aware of the time between its steps."""

import torch
from torch import Tensor, nn


class TimeBias(nn.Module):
    """A bias of each head's attention from the time between two steps, `[B, T, T]` s to `[B, H, T, T]`.

    Positive where the step that is looked at is the earlier one.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, heads))

    def forward(self, gap_s: Tensor) -> Tensor:
        """See the class."""
        features = torch.stack([gap_s, torch.sign(gap_s) * torch.log1p(gap_s.abs())], -1)
        out: Tensor = self.net(features).permute(0, 3, 1, 2)
        return out


class CausalAttention(nn.Module):
    """Each step attends to itself and to earlier steps that are present."""

    def __init__(self, dim: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.bias = TimeBias(heads)
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.out = nn.Linear(dim, dim)

    def forward(self, query: Tensor, steps: Tensor, gap_s: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """`query`, `steps` `[B, T, dim]`, `allowed` `[B, T, T]` (1 may attend) to `[B, T, dim]` and mean weights."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, query), (self.key, steps), (self.value, steps))
        )  # [B, H, T, d]
        logits = q @ k.transpose(-1, -2) / k.shape[-1] ** 0.5 + self.bias(gap_s)
        weight = torch.softmax(logits + ((1 - allowed) * -1e4).unsqueeze(1), -1)  # [B, H, T, T]
        mixed = (weight @ v).transpose(1, 2).flatten(2)
        return self.out(mixed), weight.mean(1)


class TrajectoryLayer(nn.Module):
    """A pre-norm transformer layer of `CausalAttention` with the relative time as an extra input of each step."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = CausalAttention(dim)
        self.feed = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, steps: Tensor, gap_s: Tensor, allowed: Tensor) -> Tensor:
        """Steps `[B, T, dim]`; the rest as in `CausalAttention`."""
        normed = self.norm1(steps)
        steps = steps + self.attention(normed, normed, gap_s, allowed)[0]
        out: Tensor = steps + self.feed(self.norm2(steps))
        return out


def causal_gaps(age_s: Tensor, step_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Time between steps `[B, T, T]` (row later, column earlier, s) and which pairs may attend.

    A step may always attend to itself, so that padding has finite outputs.
    """
    steps = age_s.shape[1]
    gap_s = (age_s.unsqueeze(1) - age_s.unsqueeze(2)).clamp(min=0)  # age of column minus age of row
    order = torch.ones(steps, steps, device=age_s.device).tril()
    own = torch.eye(steps, device=age_s.device)
    allowed = torch.maximum(order * step_mask.unsqueeze(1), own)
    return gap_s, allowed
