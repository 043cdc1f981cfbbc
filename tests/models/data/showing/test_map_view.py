from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.showing.instant import Instant, read_instant
from models.data.showing.map_view import ray_m, strongest
from tests.models.data.fake_set import SITES, fake_set


@pytest.fixture
def instant(tmp_path: Path) -> Instant:
    return read_instant(fake_set(tmp_path, plan={"train": 1}), "toy", 0, 1)


def test_ray_runs_from_the_array_over_its_points_to_the_ue(instant: Instant) -> None:
    ue = next(ue for ue in instant.ues if len(ue.gain))
    reflected = next(path for path in range(len(ue.gain)) if ue.kind[path, 0])
    ray = ray_m(instant, ue, reflected)
    assert ray.shape == (3, 3)
    np.testing.assert_allclose(ray[0], [0, 0, SITES["toy"].mast_height_m])
    np.testing.assert_allclose(ray[1], ue.vertex_m[reflected, 0])
    np.testing.assert_allclose(ray[2], ue.antenna_m)


def test_direct_ray_has_no_bend(instant: Instant) -> None:
    for ue in instant.ues:
        for path in np.flatnonzero(ue.kind[:, 0] == 0):
            assert len(ray_m(instant, ue, path)) == 2


def test_strongest_paths_come_last_and_those_without_power_not_at_all(instant: Instant) -> None:
    ue = instant.ues[0]
    gain = np.array([[0.1], [0.5], [0.0], [0.3]], np.complex64)
    loud = type(ue)(**{**vars(ue), "gain": gain})
    assert strongest(loud, 0, 2) == [3, 1]
    assert strongest(loud, 0, 9) == [0, 3, 1]
