"""Encoders of a scene capture: each turns its planes into tokens that a UE can attend to."""

import torch
from torch import Tensor, nn

from models.encoders.blocks import ConvStack, conv

RANGE_M = 192.0  # metres that a range axis of [0, 1] stands for, for token coordinates


class CameraEncoder(nn.Module):
    """RGB `uint8 [S, 3, 96, 192]` to 72 tokens `[S, 72, dim]` of a 6 x 12 grid."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.image = ConvStack(conv(3, 16), conv(16, 32), conv(32, 48), conv(48, dim))  # [S, dim, 6, 12]
        self.place = nn.Parameter(0.02 * torch.randn(72, dim))

    def forward(self, camera: Tensor) -> Tensor:
        """See the class."""
        features = self.image(camera.float() / 127.5 - 1.0)
        return features.flatten(2).transpose(1, 2) + self.place


class PolarEncoder(nn.Module):
    """Azimuth-range planes `[S, C, 64, 64]` to 256 tokens `[S, 256, dim]` and their places `[S, 256, 2]`.

    A place is (forward, left) in units of 100 m, at the cell's centre plus a learned offset of at most a cell: azimuth
    rows are uniform in its sine, range columns in slant range.
    """

    def __init__(self, planes: int, dim: int, across_sites: bool = False) -> None:
        super().__init__()
        self.image = ConvStack(
            conv(planes, 16, across_sites=across_sites),
            conv(16, 32, across_sites=across_sites),
            conv(32, dim, stride=1, across_sites=across_sites),
        )  # [S, dim, 16, 16]
        self.offset = nn.Linear(dim, 2)
        self.place = nn.Parameter(0.02 * torch.randn(256, dim))
        step = (torch.arange(16) + 0.5) / 16
        sine, reach = torch.meshgrid(2 * step - 1, step, indexing="ij")
        self.register_buffer("sine", sine.reshape(-1), persistent=False)
        self.register_buffer("reach", reach.reshape(-1), persistent=False)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features = self.image(planes).flatten(2).transpose(1, 2)  # [S, 256, dim]
        shift = torch.tanh(self.offset(features)) / 16
        sine = (self.sine + 2 * shift[..., 0]).clamp(-1, 1)
        reach = (self.reach + shift[..., 1]) * (RANGE_M / 100)
        place = torch.stack([reach * torch.sqrt(1 - sine**2 + 1e-6), reach * sine], -1)
        return features + self.place, place


class RadarMotionEncoder(nn.Module):
    """Range-Doppler, time-Doppler and time-height planes `[S, 3, 64, 64]` to one vector a capture `[S, dim]`.

    The planes do not share their axes, so they are mixed only after two grouped convolutions. The last map is
    flattened, not pooled: when and how fast something moved is what tells the activity.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.image = ConvStack(
            conv(3, 24, groups=3, across_sites=True),
            conv(24, 48, groups=3, across_sites=True),
            conv(48, 64, across_sites=True),
            conv(64, 64, across_sites=True),
            nn.Flatten(),
        )  # [S, 64 * 4 * 4]
        self.project = nn.Sequential(nn.Linear(1024, dim), nn.ReLU(), nn.Linear(dim, dim), nn.LayerNorm(dim))

    def forward(self, planes: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.project(self.image(planes))
        return out
