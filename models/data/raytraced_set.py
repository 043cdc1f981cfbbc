"""One site of the ray-traced set at one band, for systems that look at scene captures: normalised tensors and truth.

Models that need only the radio, but of many sites and bands, use `models.data.frames`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.data import splits
from models.data.leaks import near_duplicates, places_m
from models.data.raytraced.bands import BANDS, Band, band_index
from models.data.raytraced.frontend import Measured
from models.data.raytraced.lidar_image import lidar_points
from models.data.raytraced.paths import Paths, synthesise
from models.data.schema import Arrays
from models.data.shards import ShardSet
from service.contract.captures import CSI_ANTENNAS, CSI_SUBCARRIERS, SceneCapture
from service.contract.sites import Site
from service.normalizers.camera import camera_rgb
from service.normalizers.lidar import lidar_planes
from service.normalizers.radar import radar_planes


@dataclass(frozen=True)
class RayTracedSet:
    """E episodes of K snapshots with U UEs each; tensors as in `service.contract.tensors`, positions in the mast frame.

    Attributes:
        site: with carrier and bandwidth of the band.
        episode: int64 `[E]` their numbers.
        time_s: float64 `[E, K]`.
        camera, radar, lidar: normalised scene captures `[E, K, ...]`.
        gain: complex64 `[E, K, U, 32, 64]` clean channels, to be measured anew in every epoch. A UE that is away has
            those of another UE of the episode, so that a batch is full of true channels; the same holds for `csi`.
        csi: complex64 `[E, K, U, 32, 64]` the one stored measurement, for validation and test.
        position_m: float32 `[E, K, U, 2]` truth, 0 where the UE is away; `blocker`: uint8 `[E, K, U]` as in the schema;
            `paths`: int64 `[E, K, U]` number of them, none in an outage.
        present: bool `[E, U]` False where the UE is away: there is no frame.
        labelled: bool `[E, U]` whether training may use the truth.
        duplicate: bool `[E, K, U]` nearly a training frame (see `leaks.near_duplicates`); figures leave it out.
    """

    site: Site
    band: Band
    episode: NDArray[np.int64]
    time_s: NDArray[np.float64]
    camera: NDArray[np.uint8]
    radar: NDArray[np.float32]
    lidar: NDArray[np.float32]
    gain: NDArray[np.complex64]
    csi: NDArray[np.complex64]
    position_m: NDArray[np.float32]
    blocker: NDArray[np.uint8]
    paths: NDArray[np.int64]
    present: NDArray[np.bool_]
    labelled: NDArray[np.bool_]
    duplicate: NDArray[np.bool_]

    @property
    def los(self) -> NDArray[np.bool_]:
        """Line of sight, bool `[E, K, U]`."""
        return self.blocker == 0

    def first(self, episodes: int) -> RayTracedSet:
        """Only the first episodes."""
        arrays = {f.name: getattr(self, f.name)[:episodes] for f in fields(self) if f.name not in ("site", "band")}
        return RayTracedSet(site=self.site, band=self.band, **arrays)

    def frames(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Of values `[E, K, U, ...]` those of frames, `[N, ...]`: UEs that are away have none."""
        there = np.broadcast_to(self.present[:, None], self.blocker.shape)
        return values[there]


def load(folder: Path, split: str, part: str, site: str, band: str, quiet: bool = False) -> RayTracedSet:
    """Read and normalise one part (`"train"`, `"val"`, `"test"`) of a protocol (see `splits.describe`) at one site.

    Raises:
        ValueError: no such split, part, site or band.
        FileNotFoundError: nothing of the part has been built.
    """
    shards = ShardSet.open(folder)
    chosen = splits.part(shards, split, part)
    if site not in chosen.sites:
        raise ValueError(f"site: expected one of {', '.join(chosen.sites)} in {split}/{part}, got {site!r}")
    index = band_index(band)
    episodes = [episode for name, episode in chosen.episodes(shards) if name == site]
    if not episodes:
        raise FileNotFoundError(f"{folder}: expected episodes of {split}/{part}, got none; build more of the set")
    its = replace(shards.site(site), carrier_hz=BANDS[index].carrier_hz, bandwidth_hz=BANDS[index].bandwidth_hz)
    train_m = np.zeros((0, 3), np.float32)
    if part != "train" and "train" in shards.splits[split]:
        train_m = places_m(shards, splits.part(shards, split, "train"), site)
    columns: dict[str, list[NDArray[np.generic]]] = {}
    for episode in tqdm(episodes, desc=f"load {part}", unit="episode", disable=quiet):
        arrays = shards.read(site, episode)
        tensors = _tensors(arrays, its, index)
        enu_m = arrays["ue_position_m"]
        tensors["duplicate"] = near_duplicates(train_m, enu_m.reshape(-1, 3)).reshape(enu_m.shape[:2])
        ues = range(enu_m.shape[1])
        tensors["labelled"] = np.array([chosen.is_labelled(site, episode, ue) for ue in ues], bool)
        for key, value in tensors.items():
            columns.setdefault(key, []).append(value)
    stacked = {key: np.stack(values) for key, values in columns.items()}
    return RayTracedSet(site=its, band=BANDS[index], episode=np.array(episodes), **stacked)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a command line that say which data it is about; `load_parts` reads them."""
    parser.add_argument("--set", type=Path, default=Path("data/full"), help="folder of a built ray-traced set")
    parser.add_argument("--site", default="munich", help="base station")
    parser.add_argument("--band", default="6 GHz", help="carrier band: " + ", ".join(band.name for band in BANDS))
    parser.add_argument("--split", default="held-out-trajectories", help="protocol, as `models.data.leaks` lists them")


def load_parts(args: argparse.Namespace, parts: Sequence[str], quiet: bool = False) -> dict[str, RayTracedSet]:
    """The parts of the data that a command line is about. Raises as `load`."""
    return {part: load(args.set, args.split, part, args.site, args.band, quiet) for part in parts}


def captures(arrays: Arrays, site: Site) -> list[SceneCapture]:
    """The scene captures of a shard as a base station would send them, one a snapshot."""
    camera, radar = (
        [arrays[name][low:high] for low, high in pairwise(arrays[f"{name}_offset"])] for name in ("camera", "radar")
    )
    sweeps = zip(arrays["lidar_range"], arrays["lidar_intensity"], strict=True)
    lidar = [lidar_points(reach, intensity, site) for reach, intensity in sweeps]
    return [
        SceneCapture(picture.tobytes(), detections, points)
        for picture, detections, points in zip(camera, radar, lidar, strict=True)
    ]


def measured_csi(arrays: Arrays, band: int) -> NDArray[np.complex64]:
    """The stored measurement of a shard at one band, complex64 `[K, U, 32, 64]`."""
    return Measured(arrays["csi_levels"][:, :, band], arrays["csi_scale"][:, :, band]).csi()


def _tensors(arrays: Arrays, site: Site, band: int) -> Arrays:
    """The columns of a shard as training wants them, at one band."""
    scenes, sites = captures(arrays, site), [site] * len(arrays["time_s"])
    shape = arrays["blocker"].shape
    present = arrays["ue_present"] > 0
    position_m = site.to_mast(arrays["ue_position_m"][..., :2])
    assert site.bandwidth_hz
    gain = synthesise(Paths.of(arrays), band, site.bandwidth_hz, site).reshape(*shape, CSI_ANTENNAS, CSI_SUBCARRIERS)
    heard = np.where(present, np.arange(len(present)), present.argmax())  # whose channels each UE has
    return {
        "time_s": arrays["time_s"],
        "camera": camera_rgb([scene.camera or b"" for scene in scenes]),
        "radar": radar_planes([scene.radar for scene in scenes], sites),
        "lidar": lidar_planes([scene.lidar for scene in scenes], sites),
        "gain": gain[:, heard] if present.any() else gain,
        "csi": measured_csi(arrays, band)[:, heard] if present.any() else measured_csi(arrays, band),
        "position_m": np.where(present[:, None], position_m, 0.0).astype(np.float32),
        "blocker": arrays["blocker"],
        "paths": np.diff(arrays["path_offset"]).reshape(shape),
        "present": present,
    }
