from __future__ import annotations

import numpy as np
import pytest

from service.contract.tensors import FUSE_INPUTS, RADIO_FUSE_INPUTS, RADIO_STEPS, TRAJECTORY_LEN
from service.trajectory.packing import pack, unpack
from service.trajectory.stacking import stack
from service.trajectory.vertex import Trajectory
from tests.service.trajectory.frames import vertex


def trajectory(*times: float) -> Trajectory:
    return unpack(pack([vertex(step) for step in times]))


def test_trajectories_are_padded_on_the_left_and_fit_the_contract() -> None:
    stacked = stack([trajectory(1, 2, 4.5), trajectory(*range(8))], TRAJECTORY_LEN)
    for spec in FUSE_INPUTS[:3]:
        spec.check(stacked[spec.name])
    assert stacked["step_mask"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 1], [1] * 8]
    assert stacked["age"].tolist() == [[0, 0, 0, 0, 0, 3.5, 2.5, 0], [7, 6, 5, 4, 3, 2, 1, 0]]
    assert stacked["embedding"][0, :, 0].tolist() == [0, 0, 0, 0, 0, 1, 2, 4.5]


def test_only_the_newest_steps_of_a_long_trajectory_count() -> None:
    stacked = stack([trajectory(*range(12))], 8)
    assert stacked["embedding"][0, :, 5].tolist() == list(range(4, 12))
    np.testing.assert_array_equal(stacked["step_mask"], 1)


def test_there_are_as_many_steps_as_the_contract_has() -> None:
    stacked = stack([trajectory(*range(12)), trajectory(1)], RADIO_STEPS)
    for spec in RADIO_FUSE_INPUTS:
        spec.check(stacked[spec.name])
    assert stacked["step_mask"].sum(1).tolist() == [12, 1]
    assert stacked["age"][0, 4:].tolist() == list(range(11, -1, -1))


def test_an_empty_trajectory_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one vertex"):
        stack([trajectory(1), Trajectory(np.zeros(0), np.zeros((0, 128), np.float32), np.zeros(0))], 8)
