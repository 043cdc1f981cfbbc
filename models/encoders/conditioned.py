"""Networks whose hidden features are scaled and shifted by a context, such as the site and the carrier."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class ConditionedNet(nn.Module):
    """Linear layers and ReLU; every hidden layer is modulated by the context (FiLM, Perez et al. 2018).

    Where features of a site mean places of that site only, adding the context to the input is not enough: the map
    itself must differ, and this is the cheapest way to let it.
    """

    def __init__(self, sizes: tuple[int, ...], context: int) -> None:
        """Layers between `sizes`, from the input to the output; `context` is the length of the context."""
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.films = nn.ModuleList(nn.Linear(context, 2 * size) for size in sizes[1:-1])
        for film in self.films:
            nn.init.zeros_(film.weight)
            nn.init.zeros_(film.bias)

    def forward(self, features: Tensor, context: Tensor) -> Tensor:
        """Features `[N, sizes[0]]` and context `[N, context]` to `[N, sizes[-1]]`."""
        for layer, film in zip(self.layers, self.films, strict=False):
            scale, shift = film(context).chunk(2, -1)
            features = torch.relu(layer(features) * (1 + scale) + shift)
        out: Tensor = self.layers[-1](features)
        return out
