"""A monostatic FMCW radar at the mast: the radar equation on the same geometry, then cells, noise and detection.

Every ray of a dense fan stands for a patch of surface of cross section `reflectivity * cos(incidence) * R^2`, so the
radar equation, `sigma / R^4`, gives an echo in proportion to `reflectivity * cos(incidence) / R^2`. All rays count
alike: they are evenly spaced on flat ground, not in solid angle, which makes far targets stronger than a real radar
would see them. Echoes add up in cells of range, azimuth and Doppler, exponential noise joins them, and cells above a
fixed threshold become detections.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bodies import KINDS
from models.data.raytraced.optics import fan, ground_rings
from models.data.raytraced.world import CITY, World

RINGS, COLS, HFOV_DEG = 72, 384, 124.0
RANGE_M, DOPPLER_MPS = 1.5, 0.5  # cell sizes
AZIMUTH_CELLS = 128
_REFERENCE_SNR_DB = 46.0  # of a cell-filling brick wall, face on, at `_REFERENCE_M`
_REFERENCE_M = 100.0
THRESHOLD_DB = 13.0
_GROUND_REFLECTIVITY = 0.01  # asphalt at grazing incidence scatters most of the power away
MOST_DETECTIONS = 768  # a real radar's list is bounded too: the strongest, movers first
MOVING_MPS = 0.4


def radar_scan(world: World, velocity_mps: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    """One scan as float32 `[N, 6]`: time s, ENU m, radial speed m/s (positive: away), SNR dB.

    Args:
        velocity_mps: `[bodies, 2]` east, north.
    """
    site = world.layout.site
    half = math.radians(HFOV_DEG / 2)
    azimuth = np.linspace(half, -half, COLS)
    directions = fan(site, azimuth, ground_rings(site, 16.0, site.range_max_m, RINGS))
    hits = world.cast(world.layout.sensor_m, directions)
    seen = hits.distance_m < site.range_max_m
    reach, way, body = hits.distance_m[seen], directions[seen], hits.body[seen]
    facing = np.abs((hits.normal[seen] * way).sum(1))
    reflectivity = np.array([KINDS[b.kind].reflectivity for b in world.bodies] + [1.0])[body]  # CITY = -1: the last
    reflectivity[hits.ground[seen]] = _GROUND_REFLECTIVITY
    speed = np.vstack([velocity_mps, [0.0, 0.0]])[body]
    radial = (speed * way[:, :2]).sum(1)
    echo = 10 ** (_REFERENCE_SNR_DB / 10) * reflectivity * facing * (_REFERENCE_M / reach) ** 2 / 8

    left = np.tile(azimuth, RINGS)[seen]
    cells = np.stack(
        [
            reach / RANGE_M,
            (left + half) / (2 * half) * (AZIMUTH_CELLS - 1e-6),
            (np.clip(radial, -site.velocity_max_mps, site.velocity_max_mps) + site.velocity_max_mps) / DOPPLER_MPS,
        ]
    ).astype(np.int64)
    _, cell, inverse = np.unique(cells, axis=1, return_index=True, return_inverse=True)
    count = len(cell)
    power = np.bincount(inverse, echo, count)
    mean = [np.bincount(inverse, echo * v, count) / power for v in (reach, left, np.arcsin(way[:, 2]), radial)]
    snr = power + rng.exponential(1.0, count)
    found = snr > 10 ** (THRESHOLD_DB / 10)
    snr_db = 10 * np.log10(snr[found])
    sharp = 1 / np.sqrt(2 * snr[found])  # Cramer-Rao: errors shrink with the root of the SNR
    reach_m = mean[0][found] + RANGE_M * sharp * rng.standard_normal(found.sum())
    azimuth_rad = mean[1][found] + math.radians(1.5) * sharp * rng.standard_normal(found.sum())
    elevation_rad = mean[2][found] + math.radians(2.0) * sharp * rng.standard_normal(found.sum())
    radial_mps = mean[3][found] + DOPPLER_MPS * sharp * rng.standard_normal(found.sum())
    flat = site.boresight_rad + azimuth_rad
    time_s = (half - azimuth_rad) / (2 * half) * site.radar_window_s  # the beam sweeps from left to right
    detections = np.column_stack(
        [
            np.clip(time_s, 0, site.radar_window_s),
            reach_m * np.cos(elevation_rad) * np.cos(flat),
            reach_m * np.cos(elevation_rad) * np.sin(flat),
            reach_m * np.sin(elevation_rad) + site.mast_height_m,
            radial_mps,
            snr_db,
        ]
    )
    rank = np.lexsort((-snr_db, np.abs(radial_mps) < MOVING_MPS))[:MOST_DETECTIONS]
    return detections[np.sort(rank)].astype(np.float32)


assert CITY == -1  # `radar_scan` indexes the last row with it
