"""Task heads."""

import torch
from torch import Tensor, nn

PLACE_UNIT_M = 100.0  # networks work in units of this
START_LOG_M = 3.0  # logarithm of the first standard deviations, 20 m


class GaussianHead(nn.Module):
    """Mean `[..., 2]` and Cholesky factor (l11, l21, l22) `[..., 3]` of a position, both in metres.

    The mean is a correction to `base`, an earlier estimate in metres.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        last = nn.Linear(dim, 5)
        with torch.no_grad():  # start near the base estimate and unsure of it, or the first likelihoods explode
            last.weight.mul_(0.1)
            last.bias.copy_(torch.tensor([0.0, 0.0, START_LOG_M, 0.0, START_LOG_M]))
        self.net = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), last)

    def forward(self, features: Tensor, base: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Features `[..., dim]` and `base` `[..., 2]` m; see the class."""
        raw = self.net(features)
        mean = PLACE_UNIT_M * raw[..., :2]
        if base is not None:
            mean = mean + base
        l11 = torch.exp(raw[..., 2].clamp(-4, 5)) + 0.05
        l22 = torch.exp(raw[..., 4].clamp(-4, 5)) + 0.05
        return mean, torch.stack([l11, raw[..., 3] * l11, l22], -1)
