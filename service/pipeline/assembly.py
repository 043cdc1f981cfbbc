"""Frames and scene captures to the tensors of an artifact's `encode` graph: one normalizer call a modality."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract.captures import SceneCapture, SensingFrame
from service.contract.labels import SCENE_MODALITIES
from service.contract.sites import Site
from service.contract.tensors import ENCODE_INPUTS, FUSE_INPUTS, MULTIMODAL, Contract
from service.normalizers.channel import channel_tensors
from service.normalizers.lidar import fill_lidar_planes
from service.normalizers.radar import fill_radar_planes
from service.trajectory.stacking import stack
from service.trajectory.vertex import Trajectory, content_digest

_SPECS = {spec.name: spec for spec in (*ENCODE_INPUTS, *FUSE_INPUTS)}

Tensor = NDArray[np.generic]
Picture = NDArray[np.uint8]
Capture = tuple[int, int]
"""A scene capture: a request among several, and the row in it."""


@dataclass(frozen=True, eq=False)
class PreparedScene:
    """A scene capture whose camera frame, if any, is decoded: uint8 `[3, 96, 192]`."""

    site: Site
    capture: SceneCapture
    camera: Picture | None


def scene_inputs(captured: Sequence[Capture | None], scenes: Mapping[Capture, PreparedScene]) -> dict[str, Tensor]:
    """What `ENCODE_INPUTS` say of the captures that B frames refer to.

    Args:
        captured: what each frame refers to, None where it refers to nothing.
        scenes: the captures.

    Returns:
        Tensors by name. The captures are those of `scenes` in order; a frame without one has their number for index.
    """
    row_of = {scene: row for row, scene in enumerate(scenes)}
    index = [len(scenes) if capture is None else row_of[capture] for capture in captured]
    return {**_scene_tensors(list(scenes.values())), "scene_index": np.array(index, np.int64)}


def csi_inputs(frames: Sequence[SensingFrame], sites: Sequence[Site]) -> dict[str, Tensor]:
    """What `ENCODE_INPUTS` say of the channels of B frames, each at the site beside it: a row a frame."""
    present = [(row, frame.csi) for row, frame in enumerate(frames) if frame.csi is not None]
    rows, channels = [row for row, _ in present], [channel for _, channel in present]
    found: dict[str, Tensor] = {}
    if present:
        bandwidth_hz = np.array([sites[row].bandwidth_hz for row in rows], np.float64)
        found = {**channel_tensors(np.array(channels), bandwidth_hz), "csi_mask": np.ones((len(rows), 1), np.float32)}
    if len(rows) == len(frames):
        return found
    tensors = {name: _zeros(name, len(frames)) for name in ("csi", "aoa", "distance", "gain", "csi_mask")}
    for name, values in found.items():
        tensors[name][rows] = values
    return tensors


def fuse_inputs(contract: Contract, trajectories: Sequence[Trajectory], text: Tensor) -> dict[str, Tensor]:
    """Inputs of the contract's `fuse` graph for B trajectories; only the multimodal one reads the tokens in `text`."""
    stacked: dict[str, Tensor] = {**stack(trajectories, contract.steps)}
    return {**stacked, "text": text} if contract is MULTIMODAL else stacked


def frame_digests(
    frames: Sequence[SensingFrame], captured: Sequence[Capture | None], scenes: Mapping[Capture, PreparedScene]
) -> list[bytes]:
    """What identifies the raw content of each frame, its capture included: the same again is no conflict."""
    captures = {
        capture: content_digest(scene.capture.camera, scene.capture.radar, scene.capture.lidar)
        for capture, scene in scenes.items()
    }
    return [
        content_digest(frame.csi, None if capture is None else captures[capture], _numbers(frame))
        for frame, capture in zip(frames, captured, strict=True)
    ]


def _numbers(frame: SensingFrame) -> bytes:
    """What was said beside the CSI, as bytes."""
    numbers = (frame.carrier_hz, frame.distance_m)
    return struct.pack("<dd", *(math.nan if number is None else number for number in numbers))


def _scene_tensors(scenes: Sequence[PreparedScene]) -> dict[str, Tensor]:
    planes = {name: _zeros(name, len(scenes)) for name in SCENE_MODALITIES}
    sites = [scene.site for scene in scenes]
    cameras = {row: scene.camera for row, scene in enumerate(scenes) if scene.camera is not None}
    radars = {row: scene.capture.radar for row, scene in enumerate(scenes) if scene.capture.radar is not None}
    lidars = {row: scene.capture.lidar for row, scene in enumerate(scenes) if scene.capture.lidar is not None}
    for row, picture in cameras.items():
        planes["camera"][row] = picture
    fill_radar_planes(planes["radar"], radars, sites)
    fill_lidar_planes(planes["lidar"], lidars, sites)
    mask = _zeros("scene_mask", len(scenes))
    for column, present in enumerate((list(cameras), list(radars), list(lidars))):
        mask[present, column] = 1.0
    return {**planes, "scene_mask": mask}


def _zeros(name: str, rows: int) -> NDArray[Any]:
    """A tensor of the contract for so many rows; a missing modality stays zero under its mask."""
    spec = _SPECS[name]
    return np.zeros([rows if isinstance(dim, str) else dim for dim in spec.shape], spec.dtype)
