from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.baselines.kalman import GRID, Tuning, over, smooth, tune
from models.data.radio_batches import Radio
from models.radio.predict import RadioPredictions

PLAIN = Tuning(acceleration_mps2=0.01, inflation=1.0, gate=np.inf)
STEPS = 8


def _straight(rows: int, noise_m: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Truth and noisy estimates of UEs at constant velocities, their factors, ages and masks."""
    rng = np.random.default_rng(seed)
    age = np.broadcast_to(0.1 * np.arange(STEPS)[::-1], (rows, STEPS))
    truth = rng.uniform(-50, 50, (rows, 1, 2)) - age[..., None] * rng.uniform(-5, 5, (rows, 1, 2))
    scale = np.broadcast_to(np.array([noise_m, 0.0, noise_m]), (rows, STEPS, 3))
    return truth, truth + noise_m * rng.standard_normal(truth.shape), scale, age, np.ones((rows, STEPS), bool)


def test_smoother_of_a_straight_walk_is_the_line_of_least_squares() -> None:
    _, seen, scale, age, mask = _straight(20, noise_m=1.0)
    place, _ = smooth(seen, scale, age, mask, Tuning(1e-6, 1e-4, np.inf))  # prior and process vanish beside the data
    design = np.stack([np.ones(STEPS), -age[0]], 1)
    line = design @ np.linalg.lstsq(design, seen.transpose(1, 0, 2).reshape(STEPS, -1), rcond=None)[0]
    np.testing.assert_allclose(place, line.reshape(STEPS, 20, 2).transpose(1, 0, 2), atol=2e-3)


def test_errors_are_as_large_as_the_covariance_says() -> None:
    truth, seen, scale, age, mask = _straight(4000, noise_m=1.0)
    place, cov = smooth(seen, scale, age, mask, PLAIN)
    error = place - truth
    for step in (0, STEPS // 2, STEPS - 1):
        np.testing.assert_allclose(np.cov(error[:, step].T), cov[:, step].mean(0), atol=0.03)
    assert np.hypot(*error[:, -1].T).mean() < 0.8 * np.hypot(*(seen - truth)[:, -1].T).mean()


def test_missing_vertices_change_nothing() -> None:
    _, seen, scale, age, mask = _straight(5, noise_m=1.0)
    short = smooth(seen[:, 3:], scale[:, 3:], age[:, 3:], mask[:, 3:], PLAIN)[0]
    gone = mask.copy()
    gone[:, :3] = False
    padded = np.where(gone[..., None], seen, 1e4)
    np.testing.assert_allclose(smooth(padded, scale, age, gone, PLAIN)[0][:, 3:], short, atol=1e-9)


@pytest.mark.parametrize(("gate", "worst_m"), [(np.inf, 8.0), (4.0, 3.0)])
def test_gate_keeps_an_outlier_from_pulling(gate: float, worst_m: float) -> None:
    truth, seen, scale, age, mask = _straight(50, noise_m=0.3)
    seen = seen.copy()
    seen[:, 5] += 30.0
    place, _ = smooth(seen, scale, age, mask, Tuning(1.0, 1.0, gate))
    pulled = np.hypot(*(place - truth)[:, -1].T).mean()
    assert pulled < worst_m if np.isfinite(gate) else pulled > worst_m


def _guesses(radio: Radio, noise_m: float, seed: int = 0) -> RadioPredictions:
    """The truth with noise, at every band another draw."""
    rng = np.random.default_rng(seed)
    shape = (len(radio.frames), len(radio.frames.bands))
    place = radio.frames.position_m[:, None, :2] + rng.normal(0, noise_m, (*shape, 2))
    scale = np.broadcast_to(np.array([noise_m, 0.0, noise_m], np.float32), (*shape, 3))
    return RadioPredictions(place.astype(np.float32), scale, rng.normal(0, 1, shape).astype(np.float32))


def _error_m(answers: RadioPredictions, radio: Radio) -> np.ndarray:
    return np.linalg.norm(answers.position_m - radio.frames.position_m[:, None, :2], axis=-1)


def test_single_frame_is_left_as_it_is(radio: dict[str, Radio]) -> None:
    guesses = _guesses(radio["val"], 2.0)
    found = over(guesses, radio["val"], PLAIN, length=1)
    np.testing.assert_allclose(found.position_m, guesses.position_m, atol=1e-2)  # the prior is a kilometre wide
    np.testing.assert_allclose(found.scale_tril, guesses.scale_tril, atol=1e-4)


def test_earlier_frames_help_the_newest_and_los_is_the_frames_own(radio: dict[str, Radio]) -> None:
    guesses = _guesses(radio["train"], 2.0)
    found = over(guesses, radio["train"], PLAIN)  # UEs of the fake set keep their velocity
    frames = radio["train"].frames
    late = frames.time_s >= 0.65
    assert _error_m(found, radio["train"])[late].mean() < 0.8 * _error_m(guesses, radio["train"])[late].mean()
    first = frames.time_s == 0
    np.testing.assert_allclose(found.position_m[first], guesses.position_m[first], atol=1e-2)
    np.testing.assert_array_equal(found.los_logit, guesses.los_logit)
    assert (found.scale_tril[late] < guesses.scale_tril[late] + 1e-6).all()


def test_newest_is_answered_by_its_own_track_at_its_own_band(radio: dict[str, Radio]) -> None:
    guesses = _guesses(radio["train"], 2.0)
    mine = radio["train"].frames.track == 3
    elsewhere = np.where(mine[:, None, None] & (np.arange(3) == 1)[:, None], 0, 1e3)
    other = replace(guesses, position_m=(guesses.position_m + elsewhere).astype(np.float32))
    expected, found = (over(each, radio["train"], PLAIN).position_m for each in (guesses, other))
    np.testing.assert_array_equal(found[mine, 1], expected[mine, 1])


def test_tuning_has_the_least_mean_error(radio: dict[str, Radio]) -> None:
    guesses = _guesses(radio["val"], 2.0)
    errors = {tuning: _error_m(over(guesses, radio["val"], tuning), radio["val"]).mean() for tuning in GRID}
    found = tune(guesses, radio["val"])
    assert errors[found] == pytest.approx(min(errors.values()), rel=1e-4)
    assert max(errors.values()) > 1.02 * errors[found]
