from __future__ import annotations

from pathlib import Path

import numpy as np

from models.data.showing.cue_errors import cue_errors
from tests.models.data.fake_set import Size, fake_set


def test_errors_are_those_that_the_measurements_were_given(tmp_path: Path) -> None:
    shards = fake_set(tmp_path, plan={"test": 2}, size=Size(snapshots=32))
    errors = cue_errors(shards, [("toy", 0), ("toy", 1)], quiet=True)
    assert errors.distance_m.shape == errors.sine.shape == (2 * 32 * 2, 3)
    assert np.isnan(errors.distance_m).sum() == 2 * 3  # an outage an episode, at every band
    assert 0.5 < np.nanmedian(errors.distance_m) < 0.85  # of a normal error of 1 m
    assert np.median(errors.sine[errors.clear]) < 1 / 32  # half a cell of 64 and noise
    assert np.median(errors.sine[~errors.clear]) > 0.1  # the fake set's only other path comes from a wall


def test_no_episode_gives_no_error(tmp_path: Path) -> None:
    errors = cue_errors(fake_set(tmp_path, plan={"train": 1}), [], quiet=True)
    assert errors.distance_m.shape == (0, 3)
