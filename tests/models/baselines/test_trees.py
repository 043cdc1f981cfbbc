from __future__ import annotations

import numpy as np

from models.baselines import trees
from tests.models.toy import recording


def test_features_are_finite_and_of_one_size_even_without_detections() -> None:
    sizes = set()
    for window in (recording(0).window(0), recording(0).window(0)[:1]):
        found = trees.features(window)
        assert np.isfinite(found).all()
        sizes.add(found.shape)
    assert sizes == {(74,)}


def test_features_do_not_depend_on_the_order_of_detections() -> None:
    window = recording(1).window(0)
    shuffled = window[np.random.default_rng(0).permutation(len(window))]
    np.testing.assert_allclose(trees.features(shuffled), trees.features(window), rtol=1e-4, atol=1e-4)


def test_trees_tell_activities_that_differ_in_speed() -> None:
    people = {part: [recording(activity, frames=100) for activity in range(2)] for part in ("train", "val", "test")}
    for recordings in people.values():
        recordings[1].points[:, 4] += 3.0
    told = trees.evaluate(people, seed=0).argmax(1)
    half = people["test"][0].windows
    assert (told == np.repeat([0, 1], [half, half])).all()
