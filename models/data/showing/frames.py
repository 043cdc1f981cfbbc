"""Every frame of a set in a few numbers: where the UE was, what blocked it, and how much power arrived."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data.raytraced.frontend import noise_dbm
from models.data.raytraced_set import part_of
from models.data.shards import Arrays, ShardSet
from models.data.showing.instant import NotInSet, layout_of, power_dbm
from models.data.showing.look import BLOCKER_NAMES
from service.contract.captures import CSI_SUBCARRIERS
from service.contract.sites import Site

PARTS = ("train", "val", "test")
_READ = [
    "ue_position_m",
    "blocker",
    "paths",
    "csi_gain",
    "present",
    "time_s",
    "camera_offset",
    "lidar_offset",
    "radar_offset",
]


@dataclass(frozen=True)
class Frames:
    """N frames, a frame being one UE at one snapshot, of E episodes.

    Attributes:
        episode: int64 `[N]`.
        part: `[N]` index into `PARTS`.
        position_m: float32 `[N, 3]` of the UE's antenna, ENU.
        blocker: uint8 `[N]`, see `raytraced.channel`.
        paths: int16 `[N]`, 0 is an outage.
        power_dbm: float64 `[N]` per antenna element over the whole band, minus infinity in an outage.
        present: bool `[E, M]` which bodies of the cast were there.
        snapshots: of all episodes.
        capture_sizes: mean bytes of a camera file, returns of a LiDAR sweep and detections of a radar scan.
    """

    site: Site
    episode: NDArray[np.int64]
    part: NDArray[np.int64]
    position_m: NDArray[np.float32]
    blocker: NDArray[np.uint8]
    paths: NDArray[np.int16]
    power_dbm: NDArray[np.float64]
    present: NDArray[np.bool_]
    snapshots: int
    capture_sizes: dict[str, float]

    @property
    def range_m(self) -> NDArray[np.float64]:
        """Slant range from the array to the UE, `[N]`."""
        return np.linalg.norm(self.position_m - [0.0, 0.0, self.site.mast_height_m], axis=1)

    @property
    def outage(self) -> NDArray[np.bool_]:
        """Frames without any path, `[N]`."""
        return self.paths == 0

    @property
    def noise_dbm(self) -> float:
        """Noise of one antenna element over the whole band."""
        assert self.site.bandwidth_hz
        per_subcarrier = noise_dbm(self.site.bandwidth_hz, CSI_SUBCARRIERS)
        return float(per_subcarrier + 10 * np.log10(CSI_SUBCARRIERS))


def gather(shards: ShardSet, quiet: bool) -> Frames:
    """Read every shard of a set. Raises `NotInSet` where none has been built yet."""
    episodes = shards.episodes()
    if not episodes:
        raise NotInSet(f"{shards.folder}: expected at least one built episode, got none; run models.data.build")
    columns: dict[str, list[NDArray[np.generic]]] = {}
    for episode in tqdm(episodes, desc="read", unit="episode", disable=quiet):
        for key, value in _columns(episode, shards.read(episode, _READ)).items():
            columns.setdefault(key, []).append(value)
    joined = {key: np.concatenate(values) for key, values in columns.items()}
    sizes = {name: float(joined.pop(name).mean()) for name in ("camera", "lidar", "radar")}
    snapshots = len(joined.pop("time_s"))
    return Frames(site=layout_of(shards).site, snapshots=snapshots, capture_sizes=sizes, **joined)


def counts(frames: Frames) -> dict[str, object]:
    """Figures of a whole set, for titles, the card and machines."""
    return {
        "episodes": len(frames.present), "snapshots": frames.snapshots, "frames": len(frames.blocker),
        "parts": {name: part_counts(frames, frames.part == index) for index, name in enumerate(PARTS)},
        **part_counts(frames, np.ones(len(frames.blocker), bool)),
        "below_noise": int((frames.power_dbm < frames.noise_dbm).sum()), "noise_dbm": round(frames.noise_dbm, 1),
    }  # fmt: skip


def part_counts(frames: Frames, chosen: NDArray[np.bool_]) -> dict[str, object]:
    """Frames by blocker, outages and episodes among the chosen frames, bool `[N]`."""
    blocked = np.bincount(frames.blocker[chosen], minlength=len(BLOCKER_NAMES))
    return {
        "episodes": len(np.unique(frames.episode[chosen])), "frames": int(chosen.sum()),
        "blockers": {name: int(count) for name, count in zip(BLOCKER_NAMES, blocked, strict=True)},
        "outages": int(frames.outage[chosen].sum()),
    }  # fmt: skip


def _columns(episode: int, arrays: Arrays) -> Arrays:
    frames = arrays["blocker"].size
    return {
        "episode": np.full(frames, episode), "part": np.full(frames, PARTS.index(part_of(episode))),
        "position_m": arrays["ue_position_m"].reshape(-1, 3), "blocker": arrays["blocker"].ravel(),
        "paths": arrays["paths"].ravel(), "power_dbm": power_dbm(arrays["csi_gain"]).ravel(),
        "present": arrays["present"].astype(bool)[None], "time_s": arrays["time_s"],
        **{name: np.diff(arrays[f"{name}_offset"]) for name in ("camera", "lidar", "radar")},
    }  # fmt: skip
