"""CSI encoder: the angle-delay image and the derived cues of one frame."""

import torch
from torch import Tensor, nn

from models.encoders.blocks import ConvStack, conv


class CsiEncoder(nn.Module):
    """Angle-delay planes `[B, 6, 32, 64]`, AoA profile `[B, 64]`, distance and gain `[B, 1]` to `[B, dim]`.

    The last feature map is flattened, not pooled: where the energy lies in angle and delay is what tells the place.
    """

    def __init__(self, dim: int, width: int = 24) -> None:
        super().__init__()
        self.image = ConvStack(
            conv(6, width),  # [B, 24, 16, 32]
            conv(width, 2 * width),  # [B, 48, 8, 16]
            conv(2 * width, 2 * width, stride=1),
            conv(2 * width, 4 * width),  # [B, 96, 4, 8]
            conv(4 * width, 4 * width, stride=1),
            nn.Flatten(),
        )
        self.project = nn.Sequential(
            nn.Linear(4 * width * 4 * 8 + 64 + 2, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim), nn.LayerNorm(dim)
        )

    def forward(self, csi: Tensor, aoa: Tensor, distance: Tensor, gain: Tensor) -> Tensor:
        """See the class."""
        image = self.image(csi)  # [B, 3072]
        out: Tensor = self.project(torch.cat([image, aoa, distance, gain], 1))
        return out


class PolarGuess(nn.Module):
    """Where the derived cues alone put the UE: along the strongest direction, at the distance of the first path.

    Geometry that the networks need not learn; they correct it. `[B, 2]` (forward, left) in metres.
    """

    def __init__(self, sharpness: float = 12.0) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.register_buffer("sine", (torch.arange(64) - 32) / 32, persistent=False)

    def forward(self, aoa: Tensor, distance: Tensor) -> Tensor:
        """See the class."""
        weight = torch.softmax(self.sharpness * aoa, -1)
        sine = (weight * self.sine).sum(-1, keepdim=True).clamp(-0.999, 0.999)
        return 100.0 * distance * torch.cat([torch.sqrt(1 - sine**2), sine], -1)
