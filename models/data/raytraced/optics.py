"""Camera and LiDAR at the mast, by casting rays into the world."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from models.data.raytraced.lidar_image import COLUMNS, RINGS, STEP_M, lidar_rays
from models.data.raytraced.world import CITY, Hits, World
from service.contract.sites import Site

CAMERA_ROWS, CAMERA_COLS = 160, 320
CAMERA_HFOV_DEG = 110.0
CAMERA_PITCH_DEG = -22.0
_OVERSAMPLE = 2  # rays per pixel and axis
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


@dataclass(frozen=True)
class CameraFrame:
    """What the camera delivers, and the truth of what it shows.

    Attributes:
        jpeg: a file of 160 x 320 pixels.
        box_px: int16 `[bodies, 4]` left, top, right, bottom (the last two exclusive) of what can be seen of each body,
            -1 where that is less than half a pixel.
        share: float32 `[bodies]` share of the frame that shows the body.
    """

    jpeg: bytes
    box_px: NDArray[np.int16]
    share: NDArray[np.float32]


def camera_frame(world: World, light: Light, rng: np.random.Generator) -> CameraFrame:
    """One frame: sun with shadows, sky light, textured walls, shot and read noise."""
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
    jpeg = bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=85))
    return CameraFrame(jpeg, *_boxes(hits.body, len(world.bodies)))


def lidar_sweep(world: World, rng: np.random.Generator) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Range image `[rings, columns]` in steps of 4 mm and intensity; range noise 2 cm, 2 % of the returns lost."""
    site = world.layout.site
    directions = lidar_rays(site)
    hits = world.cast(world.layout.sensor_m, directions)
    back = (hits.distance_m < site.range_max_m) & (rng.random(len(directions)) > LIDAR_DROPOUT)
    reach = np.where(back, hits.distance_m, 0.0) + LIDAR_NOISE_M * rng.standard_normal(len(directions))
    facing = np.abs((hits.normal * directions).sum(1))
    strength = np.where(hits.body != CITY, 0.8, np.where(hits.ground, 0.25, 0.5))
    intensity = np.clip(strength * facing + 0.02 * rng.standard_normal(len(directions)), 0, 1)
    steps = np.where(back, np.rint(reach / STEP_M), 0).astype(np.uint16)
    shape = (RINGS, COLUMNS)
    return steps.reshape(shape), np.where(back, np.rint(255 * intensity), 0).astype(np.uint8).reshape(shape)


def _boxes(body: NDArray[np.int64], bodies: int) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Boxes and shares of the bodies from the one that each ray of the camera met first."""
    image = body.reshape(CAMERA_ROWS * _OVERSAMPLE, CAMERA_COLS * _OVERSAMPLE)
    count = np.bincount(body[body != CITY], minlength=bodies)
    box = np.full((bodies, 4), -1, np.int16)
    for index in np.flatnonzero(count >= _OVERSAMPLE):
        rows, cols = np.nonzero(image == index)
        low, high = (cols.min(), rows.min()), (cols.max(), rows.max())
        box[index] = [v // _OVERSAMPLE for v in low] + [v // _OVERSAMPLE + 1 for v in high]
    return box, (np.where(count >= _OVERSAMPLE, count, 0) / body.size).astype(np.float32)


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
