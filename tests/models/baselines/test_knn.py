from __future__ import annotations

import numpy as np
import pytest

from models.baselines.knn import Fingerprints, evaluate, fingerprints
from service.normalizers.cues import aoa_profile
from tests.models.toy import scene_set


def _toy(count: int, seed: int, noise: float = 0.0) -> Fingerprints:
    """Places on a square; the first features tell them, the second tell nothing. LoS is the right half."""
    rng = np.random.default_rng(seed)
    position_m = rng.uniform(0, 100, (count, 2)).astype(np.float32)
    mix = np.random.default_rng(99).standard_normal((2, 150))
    telling = np.sin(position_m @ mix / 400) + noise * rng.standard_normal((count, 150))
    noise_only = rng.standard_normal((count, 66))
    features = {"telling": telling.astype(np.float32), "silent": noise_only.astype(np.float32)}
    return Fingerprints(features, position_m, position_m[:, 0] > 50)


def test_best_features_and_neighbours_are_chosen_on_validation() -> None:
    result = evaluate(_toy(1500, 0), _toy(200, 1), _toy(200, 2))
    test = _toy(200, 2)
    error = np.hypot(*(result.position_m - test.position_m).T)
    assert result.setting["features"] == "telling"
    assert int(str(result.setting["k"])) > 1  # of a dense, clean map, the mean of some is better than the nearest
    assert result.validation_mean_m < 3
    assert error.mean() == pytest.approx(result.validation_mean_m, rel=0.3)
    assert (result.los == test.los).mean() > 0.95


def test_noise_asks_for_more_neighbours() -> None:
    clean, noisy = (
        evaluate(_toy(600, 0, noise), _toy(150, 1, noise), _toy(5, 2, noise)).setting for noise in (0.0, 1.0)
    )
    assert int(str(noisy["k"])) > int(str(clean["k"]))


def test_known_places_are_found_again() -> None:
    train = _toy(400, 0)
    some = Fingerprints({name: f[:50] for name, f in train.features.items()}, train.position_m[:50], train.los[:50])
    result = evaluate(train, some, some)
    np.testing.assert_allclose(result.position_m, some.position_m, atol=0.1)


def test_test_part_does_not_take_part_in_the_choice() -> None:
    first, second = (evaluate(_toy(400, 0), _toy(100, 1), _toy(30, seed)) for seed in (2, 3))
    assert first.setting == second.setting
    assert first.validation_mean_m == second.validation_mean_m


def test_fingerprints_are_of_the_stored_measurements_in_the_order_of_the_frames() -> None:
    data = scene_set(episodes=2, snapshots=3, ues=2)
    found = fingerprints(data)
    assert found.position_m.tolist() == data.position_m.reshape(-1, 2).tolist()
    assert found.los.tolist() == data.los.ravel().tolist()
    assert {name: values.shape for name, values in found.features.items()} == {
        "angle-delay image": (12, 512),
        "cues": (12, 66),
    }
    expected = aoa_profile(data.csi.reshape(-1, 32, 64))
    np.testing.assert_allclose(found.features["cues"][:, :64], expected, atol=1e-5)


def test_terminal_that_is_away_leaves_no_fingerprint() -> None:
    data = scene_set(episodes=2, snapshots=3, ues=2)
    whole = fingerprints(data)
    data.present[1, 0] = False
    kept = np.ones((2, 3, 2), bool)
    kept[1, :, 0] = False
    found = fingerprints(data)
    np.testing.assert_array_equal(found.position_m, whole.position_m[kept.ravel()])
    for name, values in found.features.items():
        np.testing.assert_allclose(values, whole.features[name][kept.ravel()], atol=1e-5)
