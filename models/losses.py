"""Losses: Gaussian position likelihood, calibration-friendly classification, and their uncertainty weighting."""

import math

import torch
from torch import Tensor, nn


def squared_mahalanobis(error: Tensor, scale_tril: Tensor) -> Tensor:
    """Squared Mahalanobis length `[...]` of errors `[..., 2]` under Cholesky factors (l11, l21, l22) `[..., 3]`."""
    l11, l21, l22 = scale_tril.unbind(-1)
    first = error[..., 0] / l11
    second = (error[..., 1] - l21 * first) / l22
    return first**2 + second**2


def gaussian_nll(error: Tensor, scale_tril: Tensor) -> Tensor:
    """Negative log-likelihood `[...]` of a two-dimensional Gaussian, in nats."""
    log_det = torch.log(scale_tril[..., 0]) + torch.log(scale_tril[..., 2])
    return 0.5 * squared_mahalanobis(error, scale_tril) + log_det + math.log(2 * math.pi)


def position_loss(error: Tensor, scale_tril: Tensor, huber_m: float = 2.0) -> Tensor:
    """Likelihood plus a Huber term on the error in metres, `[...]`.

    The likelihood alone lets the network buy low loss with wide covariances where it could learn the mean.
    """
    distance = torch.sqrt((error**2).sum(-1) + 1e-6)
    huber = torch.nn.functional.huber_loss(distance, torch.zeros_like(distance), reduction="none", delta=huber_m)
    return gaussian_nll(error, scale_tril) + 0.25 * huber


def squared_mmd(samples: Tensor, bandwidth: float = 1.0) -> Tensor:
    """Mean over all pairs of `samples` `[E, N, dim]` of the squared maximum mean discrepancy, biased estimate, `[]`.

    Gaussian kernel `exp(-|x - y|^2 / (2 bandwidth^2))`; 0 where all have the same samples, less than 2 always (Gretton
    et al. 2012, equation 5).
    """
    sets, count, dim = samples.shape
    gap = torch.cdist(samples.reshape(sets * count, dim), samples.reshape(sets * count, dim))
    kernel = torch.exp(-(gap**2) / (2 * bandwidth**2)).view(sets, count, sets, count).mean((1, 3))  # [E, E]
    own = kernel.diagonal()
    pairs = own.unsqueeze(0) + own.unsqueeze(1) - 2 * kernel
    return pairs.sum() / max(1, sets * (sets - 1))


class UncertaintyWeights(nn.Module):
    """`sum_t L_t / (2 sigma_t^2) + log sigma_t` with a learned `sigma_t` per task (Kendall et al. 2018)."""

    def __init__(self, tasks: tuple[str, ...]) -> None:
        super().__init__()
        self.log_sigma = nn.ParameterDict({task: nn.Parameter(torch.zeros(())) for task in tasks})

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Scalar losses by task to their weighted sum."""
        terms = [loss / (2 * torch.exp(2 * s)) + s for task, loss in losses.items() for s in [self.log_sigma[task]]]
        return torch.stack(terms).sum()
