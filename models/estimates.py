"""A frame's own estimate of position, covariance and line of sight, as the last features of its embedding."""

from __future__ import annotations

import torch
from torch import Tensor

from models.heads import PLACE_UNIT_M

ESTIMATES = 6  # trailing features of the embedding: position 2, Cholesky factor 3, line of sight 1


def pack_estimates(mean: Tensor, scale_tril: Tensor, los_logit: Tensor) -> Tensor:
    """Position `[..., 2]` m, Cholesky factor `[..., 3]` m and logit `[..., 1]` as well-scaled features `[..., 6]`."""
    l11, l21, l22 = scale_tril.unbind(-1)
    shape = torch.stack([torch.log(l11), l21 / l11, torch.log(l22)], -1)
    return torch.cat([mean / PLACE_UNIT_M, shape / 4, los_logit / 8], -1)


def unpack_estimates(embedding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The inverse of `pack_estimates`, from whole embeddings `[..., 128]`."""
    packed = embedding[..., -ESTIMATES:]
    l11 = torch.exp(4 * packed[..., 2])
    scale = torch.stack([l11, 4 * packed[..., 3] * l11, torch.exp(4 * packed[..., 4])], -1)
    return PLACE_UNIT_M * packed[..., :2], scale, 8 * packed[..., 5]
