from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from models.losses import UncertaintyWeights, gaussian_nll, position_loss, squared_mahalanobis, squared_mmd


def _errors_and_factors(count: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Errors `[N, 2]`, factors as the networks give them `[N, 3]`, and the same as matrices `[N, 2, 2]`."""
    draw = torch.Generator().manual_seed(0)
    error = 10 * torch.randn(count, 2, generator=draw, dtype=torch.float64)
    scale = torch.randn(count, 3, generator=draw, dtype=torch.float64)
    scale[:, [0, 2]] = scale[:, [0, 2]].exp()
    matrix = torch.zeros(count, 2, 2, dtype=torch.float64)
    matrix[:, 0, 0], matrix[:, 1, 0], matrix[:, 1, 1] = scale.unbind(1)
    return error, scale, matrix


def test_likelihood_is_that_of_a_multivariate_normal() -> None:
    error, scale, matrix = _errors_and_factors()
    reference = MultivariateNormal(torch.zeros(2, dtype=torch.float64), scale_tril=matrix)
    torch.testing.assert_close(gaussian_nll(error, scale), -reference.log_prob(error))


def test_mahalanobis_length_is_that_under_the_covariance() -> None:
    error, scale, matrix = _errors_and_factors()
    whitened = torch.linalg.solve(matrix @ matrix.mT, error.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(squared_mahalanobis(error, scale), (error * whitened).sum(-1))


@pytest.mark.parametrize(
    ("distance_m", "huber"), [(0.5, 0.5 * 0.5**2), (2.0, 0.5 * 2.0**2), (10.0, 2.0 * (10.0 - 1.0))]
)
def test_position_loss_adds_a_quarter_of_the_huber_distance(distance_m: float, huber: float) -> None:
    error = distance_m * torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    scale = torch.tensor([[3.0, 1.0, 2.0]], dtype=torch.float64)
    extra = position_loss(error, scale) - gaussian_nll(error, scale)
    assert extra.item() == pytest.approx(0.25 * huber, rel=1e-5)


def test_position_loss_has_a_finite_gradient_where_the_estimate_is_perfect() -> None:
    error = torch.zeros(1, 2, requires_grad=True)
    position_loss(error, torch.ones(1, 3)).sum().backward()
    assert error.grad is not None
    assert torch.isfinite(error.grad).all()


def test_uncertainty_weights_are_the_sum_of_kendall_et_al() -> None:
    weights = UncertaintyWeights(("a", "b"))
    with torch.no_grad():
        weights.log_sigma["a"].fill_(math.log(2.0))
        weights.log_sigma["b"].fill_(math.log(0.5))
    total = weights({"a": torch.tensor(3.0), "b": torch.tensor(5.0)})
    assert total.item() == pytest.approx(3 / (2 * 4) + math.log(2) + 5 / (2 * 0.25) + math.log(0.5))


def test_best_uncertainty_of_a_task_is_its_loss() -> None:
    weights = UncertaintyWeights(("a",))
    with torch.no_grad():
        weights.log_sigma["a"].fill_(0.5 * math.log(7.0))  # sigma^2 = loss
    weights({"a": torch.tensor(7.0)}).backward()
    assert weights.log_sigma["a"].grad is not None
    assert weights.log_sigma["a"].grad.item() == pytest.approx(0, abs=1e-6)


def test_task_that_a_batch_does_not_have_keeps_its_weight() -> None:
    weights = UncertaintyWeights(("a", "b"))
    weights({"a": torch.tensor(1.0)}).backward()
    assert weights.log_sigma["b"].grad is None


def test_squared_mmd_is_that_of_the_definition() -> None:
    samples = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def kernel(a: int, b: int) -> float:
        gaps = [float((x - y) @ (x - y)) for x in samples[a] for y in samples[b]]
        return sum(math.exp(-gap / (2 * 2.0**2)) for gap in gaps) / len(gaps)

    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = sum(kernel(a, a) + kernel(b, b) - 2 * kernel(a, b) for a, b in pairs) / len(pairs)
    assert squared_mmd(samples, bandwidth=2.0).item() == pytest.approx(expected, rel=1e-9)


def test_squared_mmd_is_zero_for_the_same_samples_and_grows_as_they_part() -> None:
    same = torch.randn(1, 20, 4, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1)
    shift = torch.tensor([[[0.0]], [[1.0]]])
    values = [squared_mmd(same + far * shift).item() for far in (0.0, 0.5, 1.0, 100.0)]
    assert values[0] == pytest.approx(0, abs=1e-6)
    assert values == sorted(values)
    assert values[-1] < 2
