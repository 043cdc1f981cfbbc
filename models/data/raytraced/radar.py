"""A monostatic FMCW radar at the mast: echoes by the radar equation, cells, noise, and detection.

The transmit beam is steered over the field in `DWELLS` steps from left to right; the receiving beams that look there
are formed digitally. The world stands still during a scan. A horizontal row of elements measures the direction cosine
to the left, sin(azimuth) cos(elevation), so this is what the azimuth axis means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.radar_cube import (
    AZIMUTHS,
    DOPPLER_MPS,
    DOPPLERS,
    RANGE_M,
    RANGES,
    ROW_GAP,
    UP_LOWEST,
    Cube,
    azimuth_cell,
    cube_of,
)
from models.data.raytraced.radar_echoes import BLANK_M, HALF_FIELD_DEG, echoes_of
from models.data.raytraced.world import World
from service.contract.sites import Site

FALSE_ALARM = 1e-6  # probability that noise alone lifts a cell over the threshold
THRESHOLD = -math.log(FALSE_ALARM)  # of power over noise, which is exponentially distributed; 11.4 dB
MOST_DETECTIONS = 768  # a real radar's list is bounded too: if it is full, movers go first, then the strongest
MOVING_MPS = 0.5
DWELLS = 16
MAP_STEP_DB = 0.5
_FIELD = math.sin(math.radians(HALF_FIELD_DEG))  # largest direction cosine that the beam is steered to


@dataclass(frozen=True)
class RadarScan:
    """What the radar reports of one scan.

    Attributes:
        detections: float32 `[N, 6]` time s, ENU m, radial speed m/s (positive: away), SNR dB; at most
            `MOST_DETECTIONS`.
        range_azimuth: uint8 `[RANGES, AZIMUTHS]` power over noise of the strongest Doppler cell in steps of 0.5 dB,
            from right to left; noise level and less is 0, and so is what lies outside the field.
        range_doppler: uint8 `[RANGES, DOPPLERS]` likewise, of the strongest azimuth cell; standing still is column
            `DOPPLERS / 2`, and what moves away lies right of it.
    """

    detections: NDArray[np.float32]
    range_azimuth: NDArray[np.uint8]
    range_doppler: NDArray[np.uint8]


def radar_scan(world: World, velocity_mps: NDArray[np.float64], rng: np.random.Generator) -> RadarScan:
    """One scan of the world as it stands.

    Args:
        velocity_mps: `[bodies, 2]` east, north.
    """
    return report(cube_of(echoes_of(world, velocity_mps, rng), rng), world.layout.site, rng)


def report(cube: Cube, site: Site, rng: np.random.Generator) -> RadarScan:
    """What the radar of a site makes of its cells; `rng` draws the noise of the upper row."""
    power = cube.lower.real**2 + cube.lower.imag**2
    power[: math.ceil(BLANK_M / RANGE_M)] = 0
    edge = math.ceil(float(azimuth_cell(np.array(-_FIELD))))
    power[:, :, :edge] = power[:, :, AZIMUTHS - edge :] = 0
    return RadarScan(
        detections=_detections(power, cube, site, rng),
        range_azimuth=_steps(power.max(1)),
        range_doppler=_steps(power.max(2)),
    )


def _steps(power: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(np.rint(10 * np.log10(np.maximum(power, 1)) / MAP_STEP_DB), 0, 255).astype(np.uint8)


def _detections(power: NDArray[np.float32], cube: Cube, site: Site, rng: np.random.Generator) -> NDArray[np.float32]:
    """Peaks over the threshold, their places between the cells and their elevations."""
    peak = _peaks(power)
    reach, doppler, column = (cell + _between(power, peak, axis) for axis, cell in enumerate(peak))
    reach_m = (reach + 0.5) * RANGE_M
    speed_mps = (doppler - DOPPLERS / 2) * DOPPLER_MPS
    left = (column + 0.5) * 2 / AZIMUTHS - 1
    noise = rng.standard_normal((2, len(left))) / math.sqrt(2)
    phase = np.angle((cube.upper[peak] + noise[0] + 1j * noise[1]) * cube.lower[peak].conj())
    up = UP_LOWEST + np.mod(phase / (2 * math.pi * ROW_GAP) - UP_LOWEST, 1 / ROW_GAP)
    up = np.clip(up, -0.999, 0.999)
    side = np.sqrt(1 - up**2)  # what elevation leaves for left and forward
    left = np.clip(left, -side, side)
    place = site.to_enu(np.stack([np.sqrt(side**2 - left**2), left, up], 1) * reach_m[:, None])
    dwell = np.clip(np.floor((_FIELD - left) / (2 * _FIELD) * DWELLS), 0, DWELLS - 1)
    snr_db = 10 * np.log10(power[peak])
    detections = np.column_stack(
        [dwell / DWELLS * site.radar_window_s, place + np.array([0.0, 0.0, site.mast_height_m]), speed_mps, snr_db]
    )
    rank = np.lexsort((-snr_db, np.abs(speed_mps) < MOVING_MPS))[:MOST_DETECTIONS]
    return detections[np.sort(rank)].astype(np.float32)


_Cells = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _peaks(power: NDArray[np.float32]) -> _Cells:
    """Cells above the threshold and above all their 26 neighbours; Doppler and azimuth axes are rings."""
    r, d, a = np.nonzero(power > THRESHOLD)
    for dr in (0, -1, 1):
        for dd in (0, -1, 1):
            for da in (0, -1, 1):
                if (dr, dd, da) != (0, 0, 0):
                    beside = power[np.clip(r + dr, 0, RANGES - 1), (d + dd) % DOPPLERS, (a + da) % AZIMUTHS]
                    outside = (r + dr < 0) | (r + dr >= RANGES)
                    top = (power[r, d, a] > beside) | outside
                    r, d, a = r[top], d[top], a[top]
    return r, d, a


def _between(power: NDArray[np.float32], peak: _Cells, axis: int) -> NDArray[np.float64]:
    """Where between its neighbours a peak lies, in cells from its own, by a parabola through the three levels in dB."""
    level = []
    for step in (-1, 0, 1):
        cell = list(peak)
        cell[axis] = (peak[axis] + step) % power.shape[axis]
        level.append(np.log(np.maximum(power[tuple(cell)], 1.0)).astype(np.float64))
    below, here, above = level
    curve = 2 * here - below - above
    return np.asarray(np.clip((above - below) / (2 * np.maximum(curve, 1e-9)), -0.5, 0.5))
