"""A row's numbers are the same to the last bit, alone and in any company: batch-mates never matter."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from service.normalizers.camera import camera_rgb
from service.normalizers.csi import csi_planes
from service.normalizers.cues import aoa_profile, distance, gain
from service.normalizers.lidar import lidar_planes
from service.normalizers.radar import radar_planes
from service.normalizers.text import text_tokens
from tests.service.contract.examples import CITY, INDOOR
from tests.service.normalizers.pictures import encoded, scene
from tests.service.normalizers.waves import BANDWIDTH_HZ, delay_of, noise, plane_wave

ROWS = 40
RNG = np.random.default_rng(2)
WAVES = np.stack([plane_wave(RNG.uniform(-60, 60), -5, delay_of(RNG.uniform(5, 150))) for _ in range(ROWS)])
CHANNELS = (WAVES * RNG.uniform(0, 1, (ROWS, 1, 1)) + noise(RNG, ROWS, 3e-5)).astype(np.complex64)
CHANNELS[7] = 0
BANDWIDTHS = RNG.choice([BANDWIDTH_HZ, 20e6], ROWS)
SITES = [CITY if row % 3 else INDOOR for row in range(ROWS)]
SIZES = RNG.integers(0, 500, ROWS)
RADAR = [RNG.normal([0.5, 20, 20, 3, 0, 15], [0.4, 30, 30, 3, 5, 10], (size, 6)).astype(np.float32) for size in SIZES]
LIDAR = [RNG.normal([20, 20, 3, 0.5, 8], [30, 30, 3, 0.3, 4], (size, 5)).astype(np.float32) for size in SIZES]
FILES = [encoded(scene(100 + 20 * row, 60 + 7 * row), "JPEG" if row % 2 else "PNG") for row in range(ROWS)]
TEXTS = [None if row % 5 == 0 else " ".join(["where is line of sight zebra"] * (row % 4)) for row in range(ROWS)]

NORMALIZERS: dict[str, Callable[[Sequence[int]], np.ndarray]] = {
    "csi_planes": lambda rows: csi_planes(CHANNELS[rows]),
    "aoa_profile": lambda rows: aoa_profile(CHANNELS[rows]),
    "distance": lambda rows: distance(CHANNELS[rows], BANDWIDTHS[rows]),
    "gain": lambda rows: gain(CHANNELS[rows]),
    "camera_rgb": lambda rows: camera_rgb(_pick(FILES, rows)),
    "radar_planes": lambda rows: radar_planes(_pick(RADAR, rows), _pick(SITES, rows)),
    "lidar_planes": lambda rows: lidar_planes(_pick(LIDAR, rows), _pick(SITES, rows)),
    "text_tokens": lambda rows: text_tokens(_pick(TEXTS, rows)),
}


def _pick(values: Sequence[Any], rows: Sequence[int]) -> list[Any]:
    return [values[row] for row in rows]


@pytest.fixture(scope="module", params=NORMALIZERS)
def normalizer(request):
    return NORMALIZERS[request.param]


@pytest.fixture(scope="module")
def alone(normalizer):
    """Each row's answer without company."""
    return np.concatenate([normalizer([row]) for row in range(ROWS)])


@pytest.mark.parametrize("size", [2, 3, 5, 8, 13, 32, 40])
def test_a_row_is_bit_identical_in_a_batch_of_any_size(normalizer, alone, size):
    for start in range(0, ROWS - size + 1, size):
        rows = list(range(start, start + size))
        assert normalizer(rows).tobytes() == alone[rows].tobytes()


def test_a_row_is_bit_identical_at_any_place_in_the_batch(normalizer, alone):
    order = np.random.default_rng(3).permutation(ROWS).tolist()
    assert normalizer(order).tobytes() == alone[order].tobytes()


def test_a_row_is_bit_identical_beside_copies_of_itself(normalizer, alone):
    rows = [11] * 9
    assert normalizer(rows).tobytes() == alone[rows].tobytes()


def test_a_row_is_bit_identical_the_second_time(normalizer, alone):
    assert normalizer([5]).tobytes() == alone[[5]].tobytes()


@pytest.mark.parametrize("cue", [csi_planes, aoa_profile, lambda csi: distance(csi, BANDWIDTH_HZ), gain])
def test_the_memory_layout_of_the_csi_does_not_matter(cue):
    expected = cue(CHANNELS).tobytes()
    strided = np.zeros((ROWS, 32, 128), np.complex64)[:, :, ::2]
    strided[:] = CHANNELS
    fortran = np.asfortranarray(CHANNELS)
    assert cue(strided).tobytes() == expected
    assert cue(fortran).tobytes() == expected
