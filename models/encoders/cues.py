"""The four cues of a frame as tokens: CSI image, angle-of-arrival profile, measured distance, gain."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.encoders.blocks import ConvStack, conv
from models.encoders.conditioned import ConditionedNet
from service.contract.labels import CUES

LENGTHS_M = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)  # periods at which a length or a place is looked at


class Fourier(nn.Module):
    """Lengths `[..., n]` in metres as sines and cosines of several periods, then a small network to `[..., dim]`.

    A network of plain metres learns maps that are too smooth for decimetres (Tancik et al. 2020).
    """

    def __init__(self, inputs: int, dim: int, lengths_m: tuple[float, ...] = LENGTHS_M) -> None:
        super().__init__()
        self.register_buffer("rate", 2 * math.pi / torch.tensor(lengths_m), persistent=False)
        self.net = nn.Sequential(
            nn.Linear(inputs * (2 * len(lengths_m) + 1), dim), nn.ReLU(), nn.Linear(dim, dim)
        )  # fmt: skip

    def forward(self, metres: Tensor) -> Tensor:
        """See the class."""
        phase = (metres.unsqueeze(-1) * self.rate).flatten(-2)
        out: Tensor = self.net(torch.cat([torch.sin(phase), torch.cos(phase), metres / 100], -1))
        return out


class CsiImage(nn.Module):
    """Angle-delay planes `[N, 6, 32, 64]`, in a context `[N, context]`, to `[N, dim]`.

    The last map is flattened, not pooled: where the energy lies in angle and delay tells the place.
    """

    def __init__(self, dim: int, context: int, width: int = 16) -> None:
        super().__init__()
        self.image = ConvStack(
            conv(6, width),  # [N, 16, 16, 32]
            conv(width, 2 * width),  # [N, 32, 8, 16]
            conv(2 * width, 4 * width),  # [N, 64, 4, 8]
            nn.Flatten(),
        )
        self.project = ConditionedNet((4 * width * 4 * 8, 2 * dim, dim), context)

    def forward(self, planes: Tensor, context: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.project(self.image(planes), context)
        return out


class CueTokens(nn.Module):
    """The cues of a frame as `[N, 4, dim]`, in the order of `CUES`, normalised so that a router can compare them."""

    def __init__(self, dim: int, context: int) -> None:
        super().__init__()
        self.csi = CsiImage(dim, context)
        self.aoa = ConditionedNet((64, dim, dim), context)
        self.distance = Fourier(1, dim)
        self.gain = nn.Sequential(nn.Linear(1, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.norm = nn.ModuleList(nn.LayerNorm(dim) for _ in CUES)

    def forward(self, csi: Tensor, aoa: Tensor, distance_m: Tensor, gain: Tensor, context: Tensor) -> Tensor:
        """Planes `[N, 6, 32, 64]`, profile `[N, 64]`, distance `[N, 1]` m, gain `[N, 1]`, context `[N, context]`."""
        tokens = self.csi(csi, context), self.aoa(aoa, context), self.distance(distance_m), self.gain(gain)
        return torch.stack([norm(token) for norm, token in zip(self.norm, tokens, strict=True)], 1)
