from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from models.data.raytraced.zones import MARGIN, MARGIN_M, NLOS, OFF, OPEN, REGION, zones_of

SEEDS = range(8)


def _sector() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Streets 20 m wide between blocks of 30 m, 300 m square, of which the eastern third is hidden."""
    rows, cols = np.indices((300, 300))
    free = (rows % 50 < 20) | (cols % 50 < 20)
    return free, free & (cols >= 200)


def _zones(seed: int, cell_m: float = 1.0) -> NDArray[np.uint8]:
    return zones_of(*_sector(), cell_m, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_held_out_ground_lies_apart_from_the_open(seed: int) -> None:
    free, _ = _sector()
    zone = _zones(seed)
    assert ((zone == OFF) == ~free).all()
    for held in (REGION, NLOS):
        far = ndimage.distance_transform_edt(zone != held)
        assert far[zone == OPEN].min() > MARGIN_M
    assert ndimage.distance_transform_edt(zone != REGION)[zone == NLOS].min() > MARGIN_M


@pytest.mark.parametrize("seed", SEEDS)
def test_shares_are_as_designed_and_most_ground_is_left_for_training(seed: int) -> None:
    free, blocked = _sector()
    zone = _zones(seed)
    area = {kind: (zone == kind).sum() / free.sum() for kind in (OPEN, MARGIN, REGION, NLOS)}
    assert 0.10 < area[REGION] < 0.16
    assert 0.18 < (zone == NLOS).sum() / blocked.sum() < 0.29
    assert area[OPEN] > 0.55
    assert (zone[blocked] == OPEN).mean() > 0.4  # NLoS to learn from


@pytest.mark.parametrize("seed", SEEDS)
def test_unseen_nlos_is_hidden_and_the_unseen_region_mostly_in_view(seed: int) -> None:
    _, blocked = _sector()
    zone = _zones(seed)
    assert blocked[zone == NLOS].all()
    assert blocked[zone == REGION].mean() < 0.5


def test_zones_depend_on_the_seed_alone() -> None:
    np.testing.assert_array_equal(_zones(1), _zones(1))
    assert not np.array_equal(_zones(1), _zones(2))


def test_ground_in_full_view_has_no_unseen_nlos() -> None:
    free, _ = _sector()
    zone = zones_of(free, np.zeros_like(free), 1.0, np.random.default_rng(0))
    assert set(np.unique(zone)) == {OFF, OPEN, MARGIN, REGION}


def test_zones_are_laid_out_in_metres() -> None:
    zone = _zones(0, cell_m=0.5)
    far_m = ndimage.distance_transform_edt(zone != REGION) * 0.5
    assert far_m[zone == OPEN].min() > MARGIN_M
    labels, count = ndimage.label(zone == REGION, np.ones((3, 3)))
    extents_m = [0.5 * max(s.stop - s.start for s in box) for box in ndimage.find_objects(labels)]
    assert count > 0
    assert max(extents_m) > 20
