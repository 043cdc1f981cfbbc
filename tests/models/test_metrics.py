from __future__ import annotations

import numpy as np
import pytest

from models.metrics import (
    activity_figures,
    expected_calibration_error,
    los_figures,
    position_figures,
    sigmoid,
    softmax,
    squared_mahalanobis,
)


def test_position_figures_by_hand() -> None:
    truth = np.full((5, 2), 100.0, np.float32)
    away = np.array([[3, 4], [0, 0], [6, 8], [0, 1], [30, 40]], np.float32)  # 5, 0, 10, 1 and 50 m
    figures = position_figures(truth + away, truth)
    assert figures["position_mean_m"] == pytest.approx(66 / 5)
    assert figures["position_median_m"] == pytest.approx(5)
    assert figures["position_p90_m"] == pytest.approx(10 + 0.6 * 40)
    assert figures["position_p95_m"] == pytest.approx(10 + 0.8 * 40)
    assert figures["position_mse_m2"] == pytest.approx((25 + 0 + 100 + 1 + 2500) / 5)


def test_mahalanobis_length_is_that_under_the_covariance() -> None:
    rng = np.random.default_rng(0)
    error, scale = rng.normal(0, 5, (50, 2)), np.abs(rng.normal(0, 2, (50, 3))) + 0.1
    scale[:, 1] -= 2
    found = squared_mahalanobis(error, scale)
    for e, (l11, l21, l22), d in zip(error, scale, found, strict=True):
        factor = np.array([[l11, 0], [l21, l22]])
        assert d == pytest.approx(e @ np.linalg.inv(factor @ factor.T) @ e)


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])  # two bins
    correct = np.array([True, True, True, False, True, False])  # right in 75 % and in 50 %
    expected = (4 * (0.95 - 0.75) + 2 * (0.55 - 0.5)) / 6
    assert expected_calibration_error(confidence, correct) == pytest.approx(expected)


def test_calibration_error_takes_full_confidence_into_the_last_bin() -> None:
    assert expected_calibration_error(np.array([1.0, 1.0]), np.array([True, False])) == pytest.approx(0.5)


def test_calibration_error_of_honest_probabilities_is_small() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 100_000)
    honest = expected_calibration_error(confidence, rng.random(len(confidence)) < confidence)
    boastful = expected_calibration_error(confidence, rng.random(len(confidence)) < confidence - 0.1)
    assert honest < 0.01
    assert boastful == pytest.approx(0.1, abs=0.01)


def test_los_accuracy_counts_both_classes_alike() -> None:
    truth = np.array([True] * 8 + [False] * 2)
    probability = np.array([0.9] * 6 + [0.2] * 2 + [0.1, 0.7])  # 6 of 8 and 1 of 2 are right
    figures = los_figures(probability, truth)
    assert figures["los_balanced_accuracy"] == pytest.approx((6 / 8 + 1 / 2) / 2)
    ordered = sum((p > q) + 0.5 * (p == q) for p in probability[truth] for q in probability[~truth])
    assert figures["los_auroc"] == pytest.approx(ordered / 16)


def test_los_calibration_is_that_of_the_class_that_was_decided() -> None:
    truth = np.array([True, False, False, False])
    certain_and_right = np.array([0.999, 0.001, 0.001, 0.001])
    assert los_figures(certain_and_right, truth)["los_ece"] == pytest.approx(0.001)
    assert los_figures(1 - certain_and_right, truth)["los_ece"] == pytest.approx(0.999)


def test_activity_figures_by_hand() -> None:
    truth = np.array([0, 0, 1, 1, 2])
    decided = np.array([0, 1, 1, 1, 0])
    figures = activity_figures(np.where(np.eye(3)[decided] > 0, 0.8, 0.1), truth)
    f1 = [2 * 1 / (2 + 2), 2 * 2 / (2 + 3), 0.0]  # 2 tp / (true + decided)
    assert figures["activity_accuracy"] == pytest.approx(3 / 5)
    assert figures["activity_macro_f1"] == pytest.approx(np.mean(f1))
    assert figures["activity_ece"] == pytest.approx(0.8 - 0.6)


def test_probabilities_of_huge_logits_are_finite() -> None:
    huge = np.array([[1e4, -1e4, 0.0]], np.float32)
    np.testing.assert_allclose(softmax(huge), [[1, 0, 0]])
    np.testing.assert_allclose(sigmoid(huge), [[1, 0, 0.5]], atol=1e-12)
