"""A set of the Munich layout that is small enough to reason about: a car, a pedestrian and a truck on an empty street.

In the mast frame the car stands at (60, 0), the pedestrian at (80, 25), the truck at (100, -30); all head north.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import simplejpeg

from models.data.raytraced.bodies import KINDS, Body
from models.data.raytraced.frontend import measure
from models.data.raytraced.layouts import MUNICH
from models.data.shards import Arrays, ShardSet, ragged

CAST = (Body("car", True), Body("person", True), Body("truck", False))
WHERE_M = ((60.0, 0.0), (80.0, 25.0), (100.0, -30.0))  # in the mast frame
CAR, PERSON, TRUCK = range(3)
SITE = MUNICH.site


def small_set(folder: Path, episodes: tuple[int, ...] = (0, 13, 16), snapshots: int = 2) -> ShardSet:
    """Write a set; in every episode the pedestrian's link is an outage behind a building."""
    settings: dict[str, object] = {
        "layout": "munich", "site": SITE.to_json(), "cast": [asdict(body) for body in CAST], "snapshots": snapshots,
        "period_s": 0.5, "seed": 1,
    }  # fmt: skip
    shards = ShardSet(folder, settings)
    shards.create()
    for episode in episodes:
        shards.write(episode, _arrays(np.random.default_rng(episode), snapshots))
    return shards


def _arrays(rng: np.random.Generator, snapshots: int) -> Arrays:
    enu = SITE.to_enu(np.array(WHERE_M))
    pose = np.column_stack([enu, np.full(len(CAST), np.pi / 2)])
    gain = 1e-4 * rng.standard_normal((snapshots, 2, 32, 64, 2)).astype(np.float32)
    gain[:, PERSON] = 0.0
    assert SITE.bandwidth_hz
    measured = measure(gain.view(np.complex64)[..., 0], SITE.bandwidth_hz, rng)
    antenna = np.column_stack([enu[:2], [KINDS["car"].antenna_m[2], KINDS["person"].antenna_m[2]]])
    arrays: Arrays = {
        "time_s": 0.5 * np.arange(snapshots),
        "pose": np.tile(pose, (snapshots, 1, 1)).astype(np.float32),
        "velocity_mps": np.tile(np.float32([0.0, 5.0]), (snapshots, len(CAST), 1)),
        "present": np.ones(len(CAST), np.uint8),
        "ue_body": np.array([CAR, PERSON], np.int16),
        "ue_position_m": np.tile(antenna, (snapshots, 1, 1)).astype(np.float32),
        "ue_velocity_mps": np.tile(np.float32([0.0, 5.0]), (snapshots, 2, 1)),
        "blocker": np.tile(np.uint8([0, 1]), (snapshots, 1)),
        "paths": np.tile(np.int16([9, 0]), (snapshots, 1)),
        "csi_gain": gain,
        "csi_levels": measured.levels,
        "csi_scale": measured.scale,
    }
    picture = np.full((160, 320, 3), 90, np.uint8)
    jpeg = np.frombuffer(simplejpeg.encode_jpeg(picture), np.uint8)
    lidar = np.column_stack([rng.uniform(10, 100, (50, 2)), np.zeros((50, 3))]).astype(np.float32)
    radar = np.column_stack(
        [np.zeros(20), rng.uniform(10, 100, (20, 2)), np.ones(20), rng.uniform(-9, 9, 20), np.full(20, 30)]
    )
    for name, part in (("camera", jpeg), ("lidar", lidar), ("radar", radar.astype(np.float32))):
        arrays[name], arrays[f"{name}_offset"] = ragged([part] * snapshots)
    return arrays
