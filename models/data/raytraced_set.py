"""The ray-traced set as training sees it: normalised scene tensors, clean and measured channels, truth, splits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.raytraced.frontend import Measured
from models.data.shards import Arrays, ShardSet
from service.contract.sites import Site
from service.normalizers.camera import camera_rgb
from service.normalizers.lidar import lidar_planes
from service.normalizers.radar import radar_planes

_PARTS = {"train": range(0, 13), "val": range(13, 16), "test": range(16, 20)}  # of every 20 episodes


def part_of(episode: int) -> str:
    """`"train"`, `"val"` or `"test"`: whole episodes, so neither a trajectory nor a scene capture is in two parts."""
    return next(part for part, numbers in _PARTS.items() if episode % 20 in numbers)


@dataclass(frozen=True)
class RayTracedSet:
    """E episodes of K snapshots with U UEs each; tensors as in `service.contract.tensors`, positions in the mast frame.

    Attributes:
        episode: int64 `[E]` their numbers.
        time_s: float64 `[E, K]`.
        camera, radar, lidar: normalised scene captures `[E, K, ...]`.
        gain: complex64 `[E, K, U, 32, 64]` clean channels, to be measured anew in every epoch.
        csi: complex64 `[E, K, U, 32, 64]` the one stored measurement, for validation and test.
        position_m: float32 `[E, K, U, 2]` truth; `blocker`, `paths` as in `raytraced.channel.Channels`.
    """

    site: Site
    episode: NDArray[np.int64]
    time_s: NDArray[np.float64]
    camera: NDArray[np.uint8]
    radar: NDArray[np.float32]
    lidar: NDArray[np.float32]
    gain: NDArray[np.complex64]
    csi: NDArray[np.complex64]
    position_m: NDArray[np.float32]
    blocker: NDArray[np.uint8]
    paths: NDArray[np.int16]

    @property
    def los(self) -> NDArray[np.bool_]:
        """Line of sight, bool `[E, K, U]`."""
        return self.blocker == 0

    def first(self, episodes: int) -> RayTracedSet:
        """Only the first episodes."""
        arrays = {f.name: getattr(self, f.name)[:episodes] for f in fields(self) if f.name != "site"}
        return RayTracedSet(site=self.site, **arrays)


def load(folder: Path, part: str, quiet: bool = False) -> RayTracedSet:
    """Read and normalise one part (`"train"`, `"val"`, `"test"`) of a built set."""
    shards = ShardSet.open(folder)
    site = Site.from_json(dict(shards.settings["site"]))
    episodes = [e for e in shards.episodes() if part_of(e) == part]
    if not episodes:
        raise FileNotFoundError(f"{folder}: expected episodes of part {part!r}, got none; build more of the set")
    columns: dict[str, list[NDArray[np.generic]]] = {}
    for episode in tqdm(episodes, desc=f"load {part}", unit="episode", disable=quiet):
        for key, value in _tensors(shards.read(episode), site).items():
            columns.setdefault(key, []).append(value)
    stacked = {key: np.stack(values) for key, values in columns.items()}
    return RayTracedSet(site=site, episode=np.array(episodes), **stacked)


def captures(arrays: Arrays, name: str) -> list[NDArray[np.generic]]:
    """The ragged array `name` of a shard, one part a snapshot."""
    offset = arrays[f"{name}_offset"]
    return [arrays[name][low:high] for low, high in pairwise(offset)]


def measured_csi(arrays: Arrays) -> NDArray[np.complex64]:
    """The stored measurement of a shard, complex64 `[K, U, 32, 64]`."""
    return Measured(arrays["csi_levels"], arrays["csi_scale"]).csi()


def _tensors(arrays: Arrays, site: Site) -> Arrays:
    sites = [site] * len(arrays["time_s"])
    return {
        "time_s": arrays["time_s"],
        "camera": camera_rgb([part.tobytes() for part in captures(arrays, "camera")]),
        "radar": radar_planes(captures(arrays, "radar"), sites),
        "lidar": lidar_planes(captures(arrays, "lidar"), sites),
        "gain": np.ascontiguousarray(arrays["csi_gain"]).view(np.complex64)[..., 0],
        "csi": measured_csi(arrays),
        "position_m": site.to_mast(arrays["ue_position_m"][..., :2]).astype(np.float32),
        "blocker": arrays["blocker"],
        "paths": arrays["paths"],
    }
