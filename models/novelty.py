"""How unlike its training data a frame is, by its embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from service.contract.tensors import EMBEDDING_DIM


class Novelty(nn.Module):
    """Squared Mahalanobis distance, per feature, to the nearest domain of the training embeddings (Lee et al. 2018)."""

    def __init__(self, domains: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(domains, EMBEDDING_DIM))
        # Until it is fitted, a domain is near to nothing.
        self.register_buffer("whiten", 1e3 * torch.eye(EMBEDDING_DIM).repeat(domains, 1, 1))

    def fit(self, domain: int, embeddings: Tensor, shrinkage: float = 0.05) -> None:
        """Mean and shrunk covariance of one domain's embeddings `[N, 128]`."""
        mean = embeddings.mean(0)
        covariance = torch.cov((embeddings - mean).T)
        ridge = covariance.diagonal().mean() * shrinkage * torch.eye(EMBEDDING_DIM)
        factor = torch.linalg.cholesky((1 - shrinkage) * covariance + ridge)
        self.mean[domain] = mean
        self.whiten[domain] = torch.linalg.inv(factor)

    def forward(self, embedding: Tensor) -> Tensor:
        """Embeddings `[B, 128]` to scores `[B]`, about 1 for what looks like training data."""
        away = embedding.unsqueeze(1) - self.mean  # [B, domains, 128]
        white = (self.whiten @ away.unsqueeze(-1)).squeeze(-1)
        return (white**2).mean(-1).amin(-1)
