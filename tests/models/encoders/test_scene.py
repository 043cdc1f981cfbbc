from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from models.encoders.scene import Surroundings, interpolate
from service.normalizers.lidar import lidar_planes
from tests.models.toy import SITE as TOY

SITE = replace(TOY, mast_height_m=27.0)  # high, so that slant and ground range differ


def test_interpolation_is_bilinear_and_ends_at_the_edge() -> None:
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((3, 2, 8, 16)).astype(np.float32)
    row, column = rng.uniform(-3, 11, (5, 40)), rng.uniform(-3, 19, (5, 40))
    index = np.array([2, 0, 0, 1, 2])
    got = interpolate(*(torch.from_numpy(a) for a in (maps, row.astype(np.float32), column.astype(np.float32), index)))
    for frame, capture in enumerate(index):
        for channel in range(2):
            expected = map_coordinates(maps[capture, channel], [row[frame], column[frame]], order=1, mode="nearest")
            np.testing.assert_allclose(got[frame, :, channel], expected, atol=0.01)


def _seen(place_m: Tensor, enu_m: NDArray[np.float64]) -> Tensor:
    """How many LiDAR returns the points around `place_m` `[B, 2]` show `[B, 81]`, of one return at `enu_m` `[3]`."""
    plane = torch.from_numpy(lidar_planes([np.array([[*enu_m, 0.5, 0]], np.float32)], [SITE])[:, 1:2])
    look = Surroundings(1, 8).eval()
    with torch.no_grad():
        look.rise_m.fill_(SITE.mast_height_m - enu_m[2])
    found: list[Tensor] = []
    look.read.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0][:, : Surroundings.STEPS**2]))
    with torch.no_grad():
        look(plane, place_m, torch.zeros(len(place_m), 8), torch.zeros(len(place_m), dtype=torch.int64))
    return found[0]


@pytest.mark.parametrize(("azimuth_deg", "reach_m"), [(0, 40), (35, 90), (-50, 60), (58, 150), (-20, 25)])
def test_terminal_looks_at_what_is_where_it_is(azimuth_deg: float, reach_m: float) -> None:
    """Independent of the formulas of the axes: the plane is the normalizer's, of one return at a known place."""
    along = np.array([math.cos(math.radians(azimuth_deg)), math.sin(math.radians(azimuth_deg))])
    across = np.array([-along[1], along[0]])
    place = reach_m * along
    # The estimate is off by (along, across): the return must show up at the point that makes up for it.
    for off_along, off_across in ((0, 0), (4, 0), (-6, 0), (0, 4), (0, -6), (4, -4)):
        estimate = torch.from_numpy(place - off_along * along - off_across * across).float()[None]
        seen = _seen(estimate, np.array([*SITE.to_enu(place), 1.5]))[0].view(Surroundings.STEPS, Surroundings.STEPS)
        assert seen.max() > 0
        where = np.argwhere((seen > 0.5 * seen.max()).numpy()).mean(0) - Surroundings.STEPS // 2
        # A cell is 3 m long and 1/32 wide in sine; the middle of what it shows may be half of that off.
        width_m = reach_m / 32 / math.cos(math.radians(azimuth_deg))
        assert where[0] * Surroundings.STEP_M == pytest.approx(off_along, abs=3)
        assert where[1] * Surroundings.STEP_M == pytest.approx(off_across, abs=max(2.5, 0.75 * width_m))


def test_terminal_looks_into_its_own_capture() -> None:
    torch.manual_seed(0)
    look = Surroundings(4, 8).eval()
    maps, place, query = (
        torch.randn(3, 4, 64, 64),
        torch.tensor([[50.0, 10.0]]).expand(3, 2),
        torch.randn(1, 8).expand(3, 8),
    )
    with torch.no_grad():
        each = look(maps, place, query, torch.arange(3))
        swapped = look(maps[[1, 0, 2]], place, query, torch.arange(3))
    torch.testing.assert_close(swapped, each[[1, 0, 2]])
    assert (each[0] - each[1]).abs().max() > 1e-3


def test_estimate_outside_of_the_map_has_finite_surroundings() -> None:
    look = Surroundings(4, 8).eval()
    place = torch.tensor([[0.0, 0.0], [-50.0, 3.0], [1e4, -1e4], [0.0, 300.0]])
    with torch.no_grad():
        seen = look(torch.randn(1, 4, 64, 64), place, torch.randn(4, 8), torch.zeros(4, dtype=torch.int64))
    assert torch.isfinite(seen).all()
