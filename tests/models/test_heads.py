from __future__ import annotations

import torch

from models.heads import GaussianHead


def test_untrained_head_stays_near_its_base_and_is_unsure_of_it() -> None:
    torch.manual_seed(0)
    base = 100 * torch.randn(64, 2)
    mean, scale = GaussianHead(32)(torch.randn(64, 32), base)
    assert (mean - base).norm(dim=-1).max() < 20
    assert scale[:, [0, 2]].min() > 10
    assert scale[:, [0, 2]].max() < 40


def test_covariance_is_positive_and_finite_however_large_the_features() -> None:
    torch.manual_seed(0)
    mean, scale = GaussianHead(32)(1e6 * torch.randn(256, 32))
    assert torch.isfinite(mean).all()
    assert torch.isfinite(scale).all()
    assert scale[:, [0, 2]].min() >= 0.05
    assert scale[:, [0, 2]].max() <= 150


def test_estimate_moves_along_with_its_base() -> None:
    torch.manual_seed(0)
    head, features, base = GaussianHead(32), torch.randn(8, 32), torch.randn(8, 2)
    alone, scale = head(features)
    moved, same = head(features, base)
    torch.testing.assert_close(moved, alone + base)
    assert torch.equal(scale, same)
