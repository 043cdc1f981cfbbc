"""The tensors that requests of `/v1/sense` become, for the two graphs without a gateway."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract.captures import CSI_ANTENNAS, CSI_SUBCARRIERS, LIDAR_COLUMNS, RADAR_COLUMNS
from service.contract.labels import CUES
from service.contract.tensors import RADIO
from service.normalizers.camera import camera_rgb
from service.normalizers.channel import channel_tensors
from service.normalizers.cues import DISTANCE_UNIT_M
from service.normalizers.lidar import lidar_planes
from service.normalizers.radar import radar_planes
from tests.bench.sense.cases import Case
from tests.bench.sense.material import Json, Material

Tensors = dict[str, NDArray[Any]]
_SEED = 6


def encode_tensors(material: Material, case: Case, rows: int) -> Tensors:
    """Inputs of the `encode` graph for so many frames, with as few captures as the case allows."""
    frames = [material.frames[row % len(material.frames)] for row in range(rows)]
    channels = np.stack([_array(frame["csi"], np.complex64, CSI_SUBCARRIERS) for frame in frames])
    assert channels.shape[1:] == (CSI_ANTENNAS, CSI_SUBCARRIERS)
    if material.manifest.tensors is RADIO:
        return {**channel_tensors(channels), **_radio_tensors(material, frames)}
    captures = max(min(case.captures, 1), rows * case.captures // case.frames)
    return {
        **channel_tensors(channels, material.site.bandwidth_hz),
        **_scene_tensors(material, captures),
        "csi_mask": np.ones((rows, 1), np.float32),
        "scene_index": np.arange(rows) % captures if captures else np.zeros(rows, np.int64),
    }


def fuse_tensors(material: Material, rows: int) -> Tensors:
    """Inputs of the `fuse` graph for so many frames: full trajectories of random embeddings, and no text."""
    rng = np.random.default_rng(_SEED)
    tensors: Tensors = {}
    for spec in material.manifest.tensors.graphs["fuse"][0]:
        sizes = {"B": rows, "T": material.manifest.tensors.steps}
        shape = [sizes[dim] if isinstance(dim, str) else dim for dim in spec.shape]
        tensors[spec.name] = np.zeros(shape, spec.dtype)
    tensors["embedding"][:] = rng.standard_normal(tensors["embedding"].shape)
    tensors["age"][:] = np.arange(tensors["age"].shape[1])[::-1] / 2
    tensors["step_mask"][:] = 1
    return tensors


def _scene_tensors(material: Material, captures: int) -> Tensors:
    scenes = [material.scenes[row % len(material.scenes)] for row in range(captures)]
    sites = [material.site] * captures
    return {
        "camera": camera_rgb([scene["camera"] for scene in scenes]),
        "radar": radar_planes([_array(scene["radar"], np.float32, RADAR_COLUMNS) for scene in scenes], sites),
        "lidar": lidar_planes([_array(scene["lidar"], np.float32, LIDAR_COLUMNS) for scene in scenes], sites),
        "scene_mask": np.ones((captures, 3), np.float32),
    }


def _radio_tensors(material: Material, frames: list[Json]) -> Tensors:
    rows, sites = len(frames), [site.name for site in material.manifest.sites]
    distance_m = np.array([[frame.get("distance_m", np.nan)] for frame in frames], np.float32)
    carrier_hz = np.array([[frame.get("carrier_hz", material.site.carrier_hz)] for frame in frames])
    mask = np.ones((rows, len(CUES)), np.float32)
    mask[:, CUES.index("distance")] = np.isfinite(distance_m[:, 0])
    return {
        "measured_distance": np.nan_to_num(distance_m) / np.float32(DISTANCE_UNIT_M),
        "cue_mask": mask,
        "carrier": np.log10(carrier_hz / 1e9).astype(np.float32),
        "site": np.full(rows, sites.index(material.site.name)),
    }


def _array(described: Json, dtype: type[np.generic], columns: int) -> NDArray[Any]:
    return np.frombuffer(described["data"], dtype).reshape(-1, columns)
