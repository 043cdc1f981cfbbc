"""Calibration of a trained model on its validation split: regions, temperatures, and the novelty threshold."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from models.metrics import sigmoid, softmax, squared_mahalanobis
from models.predict import ActivityPredictions, ScenePredictions
from service.contract.manifest import Calibration

LEVELS = (0.5, 0.9, 0.95)
NOVELTY_QUANTILE = 0.99


def calibrate(
    scene: ScenePredictions, people: ActivityPredictions | None, ood_score: dict[str, NDArray[np.float32]]
) -> Calibration:
    """Fit everything on validation predictions.

    Args:
        ood_score: validation scores by site.
    """
    distance = squared_mahalanobis(scene.truth_m - scene.position_m, scene.scale_tril)
    quantiles = {f"{level:.2f}": conformal_quantile(distance, level) for level in LEVELS}
    return Calibration(
        region_quantile=quantiles,
        covariance_scale=quantiles["0.90"] / float(chi2.ppf(0.9, 2)),
        los_temperature=binary_temperature(scene.los_logit, scene.los),
        activity_temperature=1.0
        if people is None
        else _temperature(lambda t: _nll(people.logits / t, people.activity)),
        ood_threshold={site: float(np.quantile(score, NOVELTY_QUANTILE)) for site, score in ood_score.items()},
    )


def conformal_quantile(scores: NDArray[np.float64], level: float) -> float:
    """Split-conformal quantile (Vovk et al. 2005): the ceil((n + 1) level)-th smallest score."""
    rank = min(len(scores), math.ceil((len(scores) + 1) * level))
    return float(np.sort(scores)[rank - 1])


def coverage(scene: ScenePredictions, calibration: Calibration, level: float = 0.9) -> float:
    """Share of frames whose region of that level holds the truth."""
    distance = squared_mahalanobis(scene.truth_m - scene.position_m, scene.scale_tril)
    return float((distance <= calibration.region_quantile[f"{level:.2f}"]).mean())


def binary_temperature(logit: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Divisor of logits `[N]` that makes their probabilities likeliest."""
    return _temperature(lambda t: _binary_nll(logit / t, truth))


def _temperature(nll: object) -> float:
    found = minimize_scalar(lambda log_t: nll(math.exp(log_t)), bounds=(-2.5, 2.5), method="bounded")
    return float(math.exp(found.x))


def _binary_nll(logit: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    p = np.clip(sigmoid(logit), 1e-9, 1 - 1e-9)
    return float(-np.where(truth, np.log(p), np.log(1 - p)).mean())


def _nll(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    return float(-np.log(np.clip(softmax(logits)[np.arange(len(truth)), truth], 1e-9, 1)).mean())
