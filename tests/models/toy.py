"""Toy data: free space around one mast, and people whose activity is written in their Doppler."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data.measured.radhar import FRAME_RATE_HZ, Recording
from models.data.raytraced.bands import BANDS
from models.data.raytraced.frontend import measure
from models.data.raytraced_set import RayTracedSet
from service.contract.labels import ACTIVITIES
from service.contract.sites import Site
from tests.service.normalizers.waves import BANDWIDTH_HZ, delay_of, plane_wave

SITE = Site(
    name="toy",
    origin_wgs84=(48.0, 11.0, 500.0),
    boresight_deg=70.0,
    mast_height_m=10.0,
    range_max_m=192.0,
    velocity_max_mps=20.0,
    height_min_m=0.0,
    height_max_m=32.0,
    radar_window_s=0.1,
    tasks=("position", "los"),
    carrier_hz=6.0e9,
    bandwidth_hz=BANDWIDTH_HZ,
    array_rows=4,
    array_cols=8,
)


def channels(position_m: NDArray[np.floating]) -> NDArray[np.complex64]:
    """Free-space channels complex64 `[..., 32, 64]` to places `[..., 2]` of the mast frame, at the mast's height."""
    places = position_m.reshape(-1, 2)
    waves = [
        plane_wave(np.degrees(np.arctan2(left, forward)), 0.0, delay_of(np.hypot(forward, left)), 1e-3)
        for forward, left in places
    ]
    return np.array(waves, np.complex64).reshape(*position_m.shape[:-1], 32, 64)


def places(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Places within the sector, float32 `[*shape, 2]` in the mast frame."""
    reach, azimuth = rng.uniform(25, 150, shape), np.radians(rng.uniform(-50, 50, shape))
    return np.stack([reach * np.cos(azimuth), reach * np.sin(azimuth)], -1).astype(np.float32)


def scene_set(episodes: int = 2, snapshots: int = 3, ues: int = 2, seed: int = 0) -> RayTracedSet:
    """Random captures, free-space channels, unevenly spaced snapshots; every episode has both LoS and NLoS.

    Every UE is there, and no frame is a duplicate.
    """
    rng = np.random.default_rng(seed)
    lead = (episodes, snapshots)
    position_m = places((*lead, ues), rng)
    gain = channels(position_m)
    blocker = np.zeros((*lead, ues), np.uint8)
    blocker[:, ::2, 0] = 1
    return RayTracedSet(
        site=SITE,
        band=BANDS[1],
        episode=np.arange(episodes),
        time_s=np.cumsum(rng.uniform(0.3, 0.7, lead), 1),
        camera=rng.integers(0, 256, (*lead, 3, 96, 192), dtype=np.uint8),
        radar=rng.exponential(0.1, (*lead, 4, 64, 64)).astype(np.float32),
        lidar=rng.exponential(0.1, (*lead, 3, 64, 64)).astype(np.float32),
        gain=gain,
        csi=measure(gain, BANDS[1], rng).csi(),
        position_m=position_m,
        blocker=blocker,
        paths=np.ones((*lead, ues), np.int64),
        present=np.ones((episodes, ues), bool),
        labelled=np.ones((episodes, ues), bool),
        duplicate=np.zeros((*lead, ues), bool),
    )


def recording(activity: int, frames: int = 160, part: str = "train", name: str = "", seed: int = 0) -> Recording:
    """A file of `frames` radar frames with three detections each."""
    rng = np.random.default_rng([seed, activity])
    frame = np.repeat(np.arange(frames), 3)
    points = rng.normal([2, 0, 0, activity - 2, 10], 0.3, (len(frame), 5))
    return Recording(
        name or f"{part}/{ACTIVITIES[activity]}/{seed}",
        np.column_stack([frame / FRAME_RATE_HZ, points]).astype(np.float32),
        np.arange(frames + 1) * 3,
        activity,
        part,
    )
