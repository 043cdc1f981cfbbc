from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.calibration import calibrate, conformal_quantile, coverage
from models.metrics import sigmoid, softmax
from models.predict import ActivityPredictions, ScenePredictions


def _predictions(
    rng: np.random.Generator, count: int = 4000, boldness: float = 1.0, los_sharpness: float = 1.0
) -> ScenePredictions:
    """Predictions whose errors are `boldness` times what their covariances say, and logits `los_sharpness` times."""
    scale = np.column_stack([rng.uniform(1, 5, count), rng.normal(0, 2, count), rng.uniform(1, 5, count)])
    white = rng.standard_normal((count, 2))
    error = boldness * np.column_stack(
        [scale[:, 0] * white[:, 0], scale[:, 1] * white[:, 0] + scale[:, 2] * white[:, 1]]
    )
    honest_logit = rng.normal(0, 2, count)
    truth_m = rng.uniform(0, 100, (count, 2))
    return ScenePredictions(
        position_m=(truth_m + error).astype(np.float32),
        truth_m=truth_m.astype(np.float32),
        scale_tril=scale.astype(np.float32),
        los_logit=(los_sharpness * honest_logit).astype(np.float32),
        los=rng.random(count) < sigmoid(honest_logit),
        gate=np.full((count, 4), 0.25, np.float32),
        history=np.ones(count, np.int64),
        episode=np.zeros(count, np.int64),
        blocker=np.zeros(count, np.uint8),
        duplicate=np.zeros(count, bool),
    )


def _activities(rng: np.random.Generator, sharpness: float, count: int = 4000) -> ActivityPredictions:
    honest = rng.normal(0, 2, (count, 5))
    drawn = (softmax(honest).cumsum(1) < rng.random((count, 1))).sum(1)
    zeros = np.zeros(count, np.int64)
    return ActivityPredictions(
        (sharpness * honest).astype(np.float32), drawn, zeros, np.zeros((count, 128), np.float32)
    )


def _scores() -> dict[str, NDArray[np.float32]]:
    return {"street": np.arange(1001, dtype=np.float32), "room": 2 * np.arange(1001, dtype=np.float32)}


@pytest.mark.parametrize(("count", "level", "rank"), [(9, 0.9, 9), (9, 0.5, 5), (19, 0.95, 19), (100, 0.9, 91)])
def test_conformal_quantile_is_the_score_of_that_rank(count: int, level: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert conformal_quantile(scores, level) == rank


def test_conformal_quantile_of_too_few_scores_is_the_largest() -> None:
    assert conformal_quantile(np.array([3.0, 1.0, 2.0]), 0.95) == 3.0


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_exchangeable_scores_are_covered_as_often_as_promised(level: float) -> None:
    rng = np.random.default_rng(1)
    scores = rng.standard_cauchy((4000, 40)) ** 2  # heavy tails: no property of the distribution may matter
    covered = [new <= conformal_quantile(known, level) for *known, new in scores]
    promised = np.ceil(40 * level) / 40
    assert np.mean(covered) == pytest.approx(promised, abs=4 * np.sqrt(promised * (1 - promised) / len(covered)))


def test_honest_covariances_are_left_alone() -> None:
    found = calibrate(_predictions(np.random.default_rng(0)), None, _scores())
    assert found.covariance_scale == pytest.approx(1, abs=0.08)
    assert found.region_quantile["0.90"] == pytest.approx(4.605, rel=0.08)  # chi-squared, 2 degrees of freedom
    assert list(found.region_quantile) == ["0.50", "0.90", "0.95"]


def test_bold_covariances_are_widened_and_their_regions_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    found = calibrate(_predictions(rng, boldness=2.0), None, _scores())
    assert found.covariance_scale == pytest.approx(4, rel=0.08)
    fresh = _predictions(rng, boldness=2.0)
    for level in (0.5, 0.9, 0.95):
        assert coverage(fresh, found, level) == pytest.approx(level, abs=0.03)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_temperatures_are_recovered(sharpness: float) -> None:
    rng = np.random.default_rng(2)
    found = calibrate(_predictions(rng, los_sharpness=sharpness), _activities(rng, sharpness), _scores())
    assert found.los_temperature == pytest.approx(sharpness, rel=0.1)
    assert found.activity_temperature == pytest.approx(sharpness, rel=0.1)


def test_novelty_thresholds_are_quantiles_of_each_site() -> None:
    found = calibrate(_predictions(np.random.default_rng(0)), None, _scores())
    assert found.ood_threshold == {"street": 990.0, "room": 1980.0}
    assert found.activity_temperature == 1.0
