"""Toy data: free space around one mast, and people whose activity is written in their Doppler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from models.data.build import CAST
from models.data.measured.radhar import FRAME_RATE_HZ, Recording
from models.data.raytraced.frontend import measure
from models.data.raytraced_set import RayTracedSet
from models.data.shards import Arrays, ShardSet, ragged
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
    """Random captures, free-space channels, unevenly spaced snapshots; every episode has both LoS and NLoS."""
    rng = np.random.default_rng(seed)
    lead = (episodes, snapshots)
    position_m = places((*lead, ues), rng)
    gain = channels(position_m)
    blocker = np.zeros((*lead, ues), np.uint8)
    blocker[:, ::2, 0] = 1
    return RayTracedSet(
        site=SITE,
        episode=np.arange(episodes),
        time_s=np.cumsum(rng.uniform(0.3, 0.7, lead), 1),
        camera=rng.integers(0, 256, (*lead, 3, 96, 192), dtype=np.uint8),
        radar=rng.exponential(0.1, (*lead, 4, 64, 64)).astype(np.float32),
        lidar=rng.exponential(0.1, (*lead, 3, 64, 64)).astype(np.float32),
        gain=gain,
        csi=measure(gain, BANDWIDTH_HZ, rng).csi(),
        position_m=position_m,
        blocker=blocker,
        paths=np.ones((*lead, ues), np.int16),
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


def shard(snapshots: int = 2, ues: int = 2, seed: int = 0) -> Arrays:
    """The arrays of a recorded episode that loading and sampling need."""
    rng = np.random.default_rng(seed)
    position_m = places((snapshots, ues), rng)
    gain = channels(position_m)
    measured = measure(gain, BANDWIDTH_HZ, rng)
    antenna_m = np.concatenate([SITE.to_enu(position_m), np.full((snapshots, ues, 1), 1.5)], -1)
    pixels = rng.integers(0, 256, (snapshots, 160, 320, 3), dtype=np.uint8)
    arrays: Arrays = {
        "time_s": 0.5 * np.arange(snapshots),
        "ue_body": np.array([i for i, body in enumerate(CAST) if body.carries_ue][:ues], np.int16),
        "ue_position_m": antenna_m.astype(np.float32),
        "blocker": rng.integers(0, 4, (snapshots, ues)).astype(np.uint8),
        "paths": rng.integers(0, 9, (snapshots, ues)).astype(np.int16),
        "csi_gain": gain.view(np.float32).reshape(*gain.shape, 2),
        "csi_levels": measured.levels,
        "csi_scale": measured.scale,
    }
    captures: dict[str, list[NDArray[np.generic]]] = {
        "camera": [np.frombuffer(simplejpeg.encode_jpeg(frame, quality=80), np.uint8) for frame in pixels],
        "radar": [_around(rng, n, [0.1, 5, 0]) for n in rng.integers(0, 20, snapshots)],
        "lidar": [_around(rng, n, [0, 0])[:, [1, 2, 3, 0, 4]] for n in rng.integers(0, 20, snapshots)],
    }
    for name, parts in captures.items():
        arrays[name], arrays[f"{name}_offset"] = ragged(parts)
    return arrays


def shard_set(folder: Path, episodes: tuple[int, ...] = (0, 13, 16), snapshots: int = 2, ues: int = 2) -> ShardSet:
    """A built set in `folder`; its default episodes are one each of train, val and test."""
    shards = ShardSet(folder, {"layout": "toy", "site": SITE.to_json(), "seed": 0})
    shards.create()
    for episode in episodes:
        shards.write(episode, shard(snapshots, ues, seed=episode))
    return shards


def _around(rng: np.random.Generator, count: int, rest: list[float]) -> NDArray[np.float32]:
    """`count` rows: the first of `rest`, a point of the sector in ENU, the others of `rest`, times random shares."""
    enu = SITE.to_enu(places((count,), rng))
    columns = [rng.uniform(0, 1, count) * scale for scale in rest]
    return np.column_stack([columns[0], enu, rng.uniform(0, 5, count), *columns[1:]]).astype(np.float32)
