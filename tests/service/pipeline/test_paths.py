"""Paths of several trajectories at once: each gets its own vertices, by the calibration of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.contract.manifest import Calibration
from service.contract.tensors import RADIO_FUSE_OUTPUTS, RADIO_STEPS
from service.engine.protocol import Outputs
from service.pipeline.answers import Path
from service.pipeline.paths import paths
from service.trajectory.vertex import Trajectory
from tests.service.contract.examples import CITY, EASTWARD

BOTH = frozenset({"position", "los"})


def outputs(lengths: list[int], seed: int = 0) -> Outputs:
    """Random ones of as many trajectories, with nonsense where there is padding."""
    rng = np.random.default_rng(seed)
    found: Outputs = {}
    for spec in RADIO_FUSE_OUTPUTS:
        shape = [len(lengths) if dim == "B" else int(dim) for dim in spec.shape]
        found[spec.name] = rng.uniform(0.5, 2.0, shape).astype(np.float32)
        if spec.name.startswith("path_"):
            for row, length in enumerate(lengths):
                found[spec.name][row, : RADIO_STEPS - length] = 1e9
    return found


def trajectory(length: int) -> Trajectory:
    times_s = 100.0 * length + np.arange(length, dtype=np.float64)
    return Trajectory(times_s, np.zeros((length, 128), np.float32), np.full(length, 28e9))


def calibration(path: float, centroid: float = 2.0) -> Calibration:
    return Calibration({"0.90": 4.0}, 1.0, 1.0, 1.0, {}, {"0.90": path}, {"0.90": centroid})


def whole(raw: Outputs, rows: list[int], lengths: list[int], tasks: frozenset[str] = BOTH) -> list[Path | None]:
    sites = [[CITY, EASTWARD][row % 2] for row in range(len(lengths))]
    known = {row: [calibration(1.0 + row + step) for step in range(lengths[row])] for row in rows}
    return paths(raw, rows, [trajectory(n) for n in lengths], sites, known, [tasks] * len(lengths))


def test_each_trajectory_has_its_own_vertices_whatever_its_batch_mates() -> None:
    lengths = [1, 16, 5, 20, 3]
    raw = outputs([min(length, RADIO_STEPS) for length in lengths])
    rows = [3, 0, 4, 1]
    together = whole(raw, rows, lengths)
    assert together == [whole(raw, [row], lengths)[0] for row in rows]
    for row, found in zip(rows, together, strict=True):
        assert found is not None
        times_s = trajectory(lengths[row]).timestamps_s[-RADIO_STEPS:].tolist()  # no more than were fused
        assert [vertex.timestamp_s for vertex in found.vertices] == times_s


def test_vertices_are_where_the_model_says_in_the_frame_of_the_answer() -> None:
    raw = outputs([4])
    (found,) = whole({name: np.repeat(tensor, 2, axis=0) for name, tensor in raw.items()}, [1], [4, 4])
    assert found is not None
    assert found.centroid is not None
    expected = raw["path_position"][0, -4:]  # the boresight of the second site is east: forward is east, left is north
    places = [vertex.position.enu_m for vertex in found.vertices if vertex.position is not None]
    assert np.allclose(places, expected, atol=1e-3)
    assert found.centroid.enu_m == pytest.approx(raw["centroid"][0].tolist(), abs=1e-3)
    probabilities = [vertex.los.probability for vertex in found.vertices if vertex.los is not None]
    assert np.allclose(probabilities, 1 / (1 + np.exp(-raw["path_los_logit"][0, -4:])), atol=1e-6)


def test_covariance_and_region_tell_the_same_story() -> None:
    raw = outputs([2])
    raw["path_scale_tril"][:] = raw["centroid_scale_tril"][:] = [3.0, 0.0, 3.0]
    known = {0: [calibration(4.0, 9.0), calibration(1.0, 16.0)]}
    (found,) = paths(raw, [0], [trajectory(2)], [EASTWARD], known, [BOTH])
    assert found is not None
    answered = [*(vertex.position for vertex in found.vertices), found.centroid]
    for position, quantile in zip(answered, (4.0, 1.0, 16.0), strict=True):  # the centroid by the newest frame
        assert position is not None
        assert position.region.semi_major_m == pytest.approx(3.0 * quantile**0.5, abs=1e-3)
        chi2 = -2 * np.log(0.1)
        assert np.allclose(position.covariance_m2, 9.0 * quantile / chi2 * np.eye(2), rtol=1e-6)


def test_what_was_not_asked_for_is_left_out() -> None:
    raw = outputs([2])
    (by_los,), (by_position,) = (whole(raw, [0], [2], frozenset({task})) for task in ("los", "position"))
    assert by_los is not None
    assert by_position is not None
    assert [v.position for v in by_los.vertices] == [v.los for v in by_position.vertices] == [None, None]
    assert by_los.centroid is None
    (both,) = whole(raw, [0], [2])
    assert both is not None
    assert [replace(v, los=None) for v in both.vertices] == list(by_position.vertices)


def test_a_model_without_paths_answers_none_and_nobody_asking_costs_nothing() -> None:
    raw = outputs([2, 2])
    assert whole({name: raw[name] for name in ("position", "scale_tril")}, [0, 1], [2, 2]) == [None, None]
    assert whole(raw, [], [2, 2]) == []
