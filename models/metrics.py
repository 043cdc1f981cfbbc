"""Figures: positions, line of sight and activity. Every card and table is made of these."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

Figures = dict[str, float]


def position_figures(estimate_m: NDArray[np.floating], truth_m: NDArray[np.floating]) -> Figures:
    """Error of positions `[N, 2]`: mean, median, p90 and p95 in metres, MSE in m^2."""
    error = np.hypot(*(np.asarray(estimate_m, np.float64) - truth_m).T)
    return {
        "position_mean_m": float(error.mean()),
        "position_median_m": float(np.median(error)),
        "position_p90_m": float(np.quantile(error, 0.9)),
        "position_p95_m": float(np.quantile(error, 0.95)),
        "position_mse_m2": float((error**2).mean()),
    }


def squared_mahalanobis(error_m: NDArray[np.floating], scale_tril: NDArray[np.floating]) -> NDArray[np.float64]:
    """Squared Mahalanobis length `[N]` of errors `[N, 2]` under Cholesky factors (l11, l21, l22) `[N, 3]`."""
    error, (l11, l21, l22) = np.asarray(error_m, np.float64), np.asarray(scale_tril, np.float64).T
    first = error[:, 0] / l11
    second = (error[:, 1] - l21 * first) / l22
    return np.asarray(first**2 + second**2)


def los_figures(probability: NDArray[np.floating], truth: NDArray[np.bool_]) -> Figures:
    """Balanced accuracy, AUROC and expected calibration error (15 equal bins) of line-of-sight probabilities `[N]`."""
    decided = probability > 0.5
    return {
        "los_balanced_accuracy": float(balanced_accuracy_score(truth, decided)),
        "los_auroc": float(roc_auc_score(truth, probability)),
        "los_ece": expected_calibration_error(np.where(decided, probability, 1 - probability), decided == truth),
    }


def activity_figures(probabilities: NDArray[np.floating], truth: NDArray[np.int64]) -> Figures:
    """Accuracy, macro-F1 and expected calibration error of activity probabilities `[N, classes]`."""
    decided = probabilities.argmax(1)
    return {
        "activity_accuracy": float((decided == truth).mean()),
        "activity_macro_f1": float(f1_score(truth, decided, average="macro")),
        "activity_ece": expected_calibration_error(probabilities.max(1), decided == truth),
    }


def expected_calibration_error(confidence: NDArray[np.floating], correct: NDArray[np.bool_], bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal bins of confidence (Naeini et al. 2015)."""
    which = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    gap = np.abs(np.bincount(which, confidence, bins) - np.bincount(which, correct, bins))
    return float(gap.sum() / count.sum())


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Softmax over the last axis."""
    away = np.exp(np.asarray(logits, np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(away / away.sum(-1, keepdims=True))


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logistic function."""
    return np.asarray(1 / (1 + np.exp(-np.clip(np.asarray(logits, np.float64), -60, 60))))
