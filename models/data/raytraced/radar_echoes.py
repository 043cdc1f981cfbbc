"""What the radar's surroundings send back: the radar equation over patches of surface that rays find.

A patch of area dA seen under the angle of incidence i has the cross section `gamma cos(i) dA` (constant-gamma model of
land clutter, Long 2001). A ray that stands for the solid angle dO meets dA = R² dO / cos(i) at range R, so each has
`gamma R² dO`, whatever its incidence. The gammas are round figures, chosen to give the sizes that are found at 76 GHz:
cars 5 to 15 dBsm, lorries and buses up to 20 dBsm, people about -8 dBsm, asphalt a σ0 of -20 to -25 dB at grazing
angles of 10 to 30 degrees.

Not modelled: mirror-like flashes of flat walls, echoes over more than one reflection, micro-Doppler of wheels and legs,
rain. Clutter is drawn anew for every scan, as a mast that sways by millimetres would make it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.world import CITY, World
from service.contract.sites import Site

CARRIER_HZ = 76.5e9  # 76 to 77 GHz: road infrastructure radar, ETSI EN 301 091-2
TX_POWER_DBM = 10.0
TX_GAIN_DBI = 19.0  # peak of the steered transmit beam, about 8 x 50 degrees; with the power, well below 55 dBm EIRP
RX_GAIN_DBI = 7.0  # peak of one receiving element
NOISE_FIGURE_DB = 12.0
LOSS_DB = 3.0  # radome, feed and processing
PITCH_DEG = -20.0  # where the antennas' vertical pattern points
BEAM_DEG = (120.0, 50.0)  # half-power width of the antennas' pattern, azimuth and elevation, one way
HALF_FIELD_DEG = 62.0  # azimuths that the transmit beam is steered to, either side of the boresight
BLANK_M = 10.0  # the receiver's high-pass filter takes out what is nearer: mast, own roof
RANGE_MAX_M = 192.0  # its low-pass filter takes out what is farther

SWEEP_S, SWEEPS, ELEMENTS = 40e-6, 64, 64  # active time of one sweep, sweeps of a dwell, receiving elements
LIGHT_MPS, BOLTZMANN, ROOM_K = 299_792_458.0, 1.380649e-23, 290.0

GAMMA = {"car": 2.0, "bus": 2.0, "truck": 2.0, "bicycle": 0.5, "person": 0.25}
GAMMA_WALL, GAMMA_GROUND = 0.2, 0.02

_COLUMNS, _RINGS_BELOW, _RINGS_ABOVE = 320, 96, 32  # rays of the fan that looks at the city
_NEAREST_M, _HIGHEST_DEG = 12.0, 15.0  # ground distance of its lowest ray, elevation of its highest
_BUNDLE = (12, 10)  # rays, azimuth x elevation, that look at each body


@dataclass(frozen=True)
class Echoes:
    """Point echoes, float64 `[N]` each.

    Attributes:
        range_m: slant range.
        left: direction cosine towards the left of the boresight, which a horizontal array measures.
        up: direction cosine upwards.
        speed_mps: radial speed, positive away.
        snr: mean power over noise in the echo's cell after all integration, if it sits in the cell's centre.
    """

    range_m: NDArray[np.float64]
    left: NDArray[np.float64]
    up: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    snr: NDArray[np.float64]


def mean_snr(
    cross_section_m2: NDArray[np.float64] | float,
    range_m: NDArray[np.float64] | float,
    azimuth_rad: NDArray[np.float64] | float,
    elevation_rad: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """The monostatic radar equation: power over noise of one echo, integrated over sweeps, samples and elements.

    `P G_t G_r λ² σ T N / ((4π)³ R⁴ k T0 F L)` with T the active time of a dwell and N the elements, less 1.76 dB for
    each of three Hann windows.

    Args:
        azimuth_rad: from the boresight.
        elevation_rad: from the horizon.
    """
    pattern_db = [
        np.minimum(12 * (np.degrees(angle) / width) ** 2, 20)
        for angle, width in ((azimuth_rad, BEAM_DEG[0]), (elevation_rad - np.radians(PITCH_DEG), BEAM_DEG[1]))
    ]
    gain_db = TX_POWER_DBM - 30 + TX_GAIN_DBI + RX_GAIN_DBI - 2 * sum(pattern_db) - NOISE_FIGURE_DB - LOSS_DB
    wavelength_m = LIGHT_MPS / CARRIER_HZ
    energy = wavelength_m**2 * SWEEP_S * SWEEPS * ELEMENTS * (2 / 3) ** 3 / ((4 * math.pi) ** 3 * BOLTZMANN * ROOM_K)
    return np.asarray(10 ** (gain_db / 10) * energy * cross_section_m2 / np.asarray(range_m) ** 4)


def echoes_of(world: World, velocity_mps: NDArray[np.float64], rng: np.random.Generator) -> Echoes:
    """Echoes of all that the radar at the mast sees, one for each ray that meets something in its field.

    The city is seen by a fan of rays, and each body by a bundle of its own, so that none falls between the rays. Every
    ray goes through a random point of its piece of solid angle: sums over rays are unbiased.

    Args:
        velocity_mps: `[bodies, 2]` east, north.
    """
    site = world.layout.site
    azimuth, elevation, solid_angle, aim = (
        np.concatenate(parts) for parts in zip(_city_fan(site, rng), *_bundles(world, rng), strict=True)
    )
    flat = site.boresight_rad + azimuth
    way = np.stack([np.cos(elevation) * np.cos(flat), np.cos(elevation) * np.sin(flat), np.sin(elevation)], 1)
    hits = world.cast(world.layout.sensor_m, way)
    seen = (hits.distance_m > BLANK_M) & (hits.distance_m < RANGE_MAX_M) & (hits.body == aim)
    way, azimuth, elevation, reach, body = (v[seen] for v in (way, azimuth, elevation, hits.distance_m, aim))
    gamma = np.array([GAMMA[body.kind] for body in world.bodies] + [GAMMA_WALL])[body]  # CITY is -1: the last
    gamma[hits.ground[seen]] = GAMMA_GROUND
    speed = (np.vstack([velocity_mps, [0.0, 0.0]])[body] * way[:, :2]).sum(1)
    snr = mean_snr(gamma * reach**2 * solid_angle[seen], reach, azimuth, elevation)
    return Echoes(reach, np.cos(elevation) * np.sin(azimuth), way[:, 2], speed, snr)


_Rays = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def _city_fan(site: Site, rng: np.random.Generator) -> _Rays:
    """Rays over the whole field; those below the horizon are as dense as keeps their spacing on the ground to scale."""
    half = math.radians(HALF_FIELD_DEG)
    ground_m = np.geomspace(_NEAREST_M, RANGE_MAX_M, _RINGS_BELOW + 1)
    below = -np.arctan2(site.mast_height_m, ground_m)
    above = np.linspace(below[-1], math.radians(_HIGHEST_DEG), _RINGS_ABOVE + 1)[1:]
    return _rays(np.linspace(-half, half, _COLUMNS + 1), np.concatenate([below, above]), CITY, rng)


def _bundles(world: World, rng: np.random.Generator) -> list[_Rays]:
    """Rays through the box around each body that stands in the field."""
    site, half = world.layout.site, math.radians(HALF_FIELD_DEG)
    bundles = []
    for index in range(len(world.bodies)):
        box = world.scene.objects[f"body-{index}"].mi_mesh.bbox()
        corners = np.array([[float(box.corner(i)[axis]) for axis in range(3)] for i in range(8)])
        forward, left, up = site.to_mast(corners - world.layout.sensor_m).T
        azimuth, elevation = np.arctan2(left, forward), np.arctan2(up, np.hypot(forward, left))
        nearest = np.hypot(np.hypot(forward, left), up).min()
        west, east = max(azimuth.min(), -half), min(azimuth.max(), half)
        if forward.min() <= 0 or west >= east or nearest > RANGE_MAX_M:
            continue
        edges = [np.linspace(a, b, n + 1) for a, b, n in zip(
            (west, elevation.min()), (east, elevation.max()), _BUNDLE, strict=True
        )]  # fmt: skip
        bundles.append(_rays(edges[0], edges[1], index, rng))
    return bundles


def _rays(
    azimuth_edges: NDArray[np.float64], elevation_edges: NDArray[np.float64], aim: int, rng: np.random.Generator
) -> _Rays:
    """Azimuth and elevation, solid angle in sr and aim of one random ray for each cell of a grid, `[cells]` each."""
    shape = (len(elevation_edges) - 1, len(azimuth_edges) - 1)
    azimuth = azimuth_edges[:-1] + np.diff(azimuth_edges) * rng.random(shape)
    elevation = elevation_edges[:-1, None] + np.diff(elevation_edges)[:, None] * rng.random(shape)
    solid_angle = np.cos(elevation) * np.diff(elevation_edges)[:, None] * np.diff(azimuth_edges)
    return azimuth.ravel(), elevation.ravel(), solid_angle.ravel(), np.full(azimuth.size, aim)


assert CITY == -1  # `echoes_of` indexes the last row with it
