"""Camera and LiDAR at the mast, by casting rays into the world."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from models.data.raytraced.world import CITY, Hits, World
from service.contract.sites import Site

CAMERA_ROWS, CAMERA_COLS = 160, 320
CAMERA_HFOV_DEG = 110.0
CAMERA_PITCH_DEG = -22.0
_OVERSAMPLE = 2  # rays per pixel and axis
LIDAR_RINGS, LIDAR_COLS = 44, 256
LIDAR_HFOV_DEG = 124.0
_LIDAR_GROUND_M = (16.0, 190.0)  # where the lowest and the highest ring meet the street
LIDAR_NOISE_M = 0.02
LIDAR_DROPOUT = 0.02


@dataclass(frozen=True)
class Light:
    """Lighting and exposure of one episode, and the paint of its bodies."""

    sun: NDArray[np.float64]  # [3] unit vector towards the sun
    sun_strength: float
    sky_strength: float
    exposure: float
    paint: NDArray[np.float64]  # [bodies, 3] albedo

    @classmethod
    def draw(cls, bodies: int, rng: np.random.Generator) -> Light:
        """A random daylight, from noon to an overcast evening."""
        azimuth, height = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(12, 60))
        sun = np.array([math.cos(azimuth) * math.cos(height), math.sin(azimuth) * math.cos(height), math.sin(height)])
        overcast = rng.uniform(0, 1)
        return cls(sun, 1.1 * (1 - 0.9 * overcast), 0.35 + 0.35 * overcast, rng.uniform(0.75, 1.3), _paint(bodies, rng))


def camera_jpeg(world: World, light: Light, rng: np.random.Generator) -> bytes:
    """A JPEG of 160 x 320 pixels: sun with shadows, sky light, textured walls, shot and read noise."""
    sensor = world.layout.sensor_m
    directions = _camera_rays(world.layout.site)
    hits = world.cast(sensor, directions)
    sky = ~np.isfinite(hits.distance_m)
    reach = np.where(sky, 0.0, hits.distance_m)
    points = sensor + directions * reach[:, None]
    lit = np.zeros(len(directions))
    facing = hits.normal @ light.sun
    ask = ~sky & (facing > 0)
    shadow = world.cast(points[ask] + 0.02 * hits.normal[ask], np.broadcast_to(light.sun, (ask.sum(), 3)))
    lit[ask] = facing[ask] * ~np.isfinite(shadow.distance_m)
    albedo = _albedo(points, hits, light)
    ambient = light.sky_strength * (0.6 + 0.4 * hits.normal[:, 2])
    colour = albedo * (ambient + light.sun_strength * lit)[:, None]
    colour[sky] = np.array([0.62, 0.74, 0.9]) * (light.sky_strength + 0.35 * light.sun_strength)
    haze = (1 - np.exp(-reach / 900.0))[:, None]
    colour = colour * (1 - haze) + 0.7 * haze
    frame = colour.reshape(CAMERA_ROWS, _OVERSAMPLE, CAMERA_COLS, _OVERSAMPLE, 3).mean((1, 3)) * light.exposure
    frame += rng.standard_normal(frame.shape) * (0.008 + 0.015 * np.sqrt(np.clip(frame, 0, 1)))
    pixels = (255 * np.clip(frame, 0, 1) ** (1 / 2.2)).astype(np.uint8)
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=85))


def lidar_sweep(world: World, rng: np.random.Generator) -> NDArray[np.float32]:
    """One sweep as float32 `[N, 5]`: ENU m, intensity 0..1, ring. Range noise 2 cm, 2 % of the returns lost."""
    layout = world.layout
    directions, ring = _lidar_rays(layout.site)
    hits = world.cast(layout.sensor_m, directions)
    kept = (hits.distance_m < layout.site.range_max_m) & (rng.random(len(ring)) > LIDAR_DROPOUT)
    reach = hits.distance_m[kept] + LIDAR_NOISE_M * rng.standard_normal(kept.sum())
    points = directions[kept] * reach[:, None] + [0.0, 0.0, layout.site.mast_height_m]
    facing = np.abs((hits.normal[kept] * directions[kept]).sum(1))
    strength = np.where(hits.body[kept] != CITY, 0.8, np.where(hits.ground[kept], 0.25, 0.5))
    intensity = np.clip(strength * facing + 0.02 * rng.standard_normal(kept.sum()), 0, 1)
    return np.column_stack([points, intensity, ring[kept]]).astype(np.float32)


def fan(site: Site, azimuth_rad: NDArray[np.float64], elevation_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors in ENU for every elevation and azimuth (left of the boresight), `[elevations * azimuths, 3]`."""
    e, a = np.meshgrid(elevation_rad, site.boresight_rad + azimuth_rad, indexing="ij")
    return np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], -1).reshape(-1, 3)


def ground_rings(site: Site, near_m: float, far_m: float, count: int) -> NDArray[np.float64]:
    """Elevations in rad whose rays meet flat ground at equally spaced distances."""
    return -np.arctan2(site.mast_height_m, np.linspace(near_m, far_m, count))


def _lidar_rays(site: Site) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    half = math.radians(LIDAR_HFOV_DEG / 2)
    rings = ground_rings(site, *_LIDAR_GROUND_M, LIDAR_RINGS)
    return fan(site, np.linspace(half, -half, LIDAR_COLS), rings), np.repeat(np.arange(LIDAR_RINGS), LIDAR_COLS)


def _camera_rays(site: Site) -> NDArray[np.float64]:
    rows, cols = CAMERA_ROWS * _OVERSAMPLE, CAMERA_COLS * _OVERSAMPLE
    half = math.tan(math.radians(CAMERA_HFOV_DEG / 2))
    left = -((np.arange(cols) + 0.5) / cols * 2 - 1) * half
    up = -((np.arange(rows) + 0.5) / rows * 2 - 1) * half * rows / cols
    u, v = np.meshgrid(up, left, indexing="ij")
    c, s = math.cos(math.radians(CAMERA_PITCH_DEG)), math.sin(math.radians(CAMERA_PITCH_DEG))
    mast = np.stack([c - s * u, v, s + c * u], -1).reshape(-1, 3)
    mast /= np.linalg.norm(mast, axis=1, keepdims=True)
    return site.to_enu(mast)


def _albedo(points: NDArray[np.float64], hits: Hits, light: Light) -> NDArray[np.float64]:
    """Grey asphalt, walls with rows of windows, roofs, and the bodies' own paint, `[N, 3]`."""
    cell = np.floor(points / [7.0, 7.0, 1e9]).astype(np.int64)
    tone = ((cell[:, 0] * 73856093 ^ cell[:, 1] * 19349663) % 97) / 97.0
    wall = np.array([0.62, 0.54, 0.44]) * (0.75 + 0.4 * tone[:, None])
    window = (points[:, 2] % 3.4 > 1.1) & (points[:, 2] % 3.4 < 2.7) & ((points[:, 0] + points[:, 1]) % 2.8 < 1.2)
    wall = np.where((window & (np.abs(hits.normal[:, 2]) < 0.3))[:, None], [0.16, 0.19, 0.24], wall)
    wall = np.where((hits.normal[:, 2] > 0.6)[:, None], np.array([0.45, 0.25, 0.2]) * (0.8 + 0.4 * tone[:, None]), wall)
    colour = np.where(hits.ground[:, None], np.array([0.27, 0.27, 0.28]) * (0.9 + 0.2 * tone[:, None]), wall)
    return np.where((hits.body != CITY)[:, None], light.paint[np.maximum(hits.body, 0)], colour)


def _paint(bodies: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.uniform(0.05, 0.9, (bodies, 1)) * (1 - 0.6 * rng.uniform(0, 1, (bodies, 3)) ** 2)
