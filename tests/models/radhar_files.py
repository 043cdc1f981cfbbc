"""Files in the layout of RadHAR's authors: ROS messages as text, one file a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.contract.labels import ACTIVITIES

POINT = """\
header:
  seq: {seq}
  stamp:
    secs: 1538888235
    nsecs: 712113897
  frame_id: "ti_mmwave"
point_id: {point}
x: {x}
y: {y}
z: {z}
range: 11.067276001
velocity: {velocity}
doppler_bin: 8
bearing: 38.6818885803
intensity: {intensity}
---
"""


def points(frames: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Frame numbers `[N]` and columns `[N, 5]` that half precision holds; two or three points a frame."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(frames), rng.integers(2, 4, frames))
    return frame, (rng.integers(-512, 512, (len(frame), 5)) / 128).astype(np.float32)


def text(frame: NDArray[np.int64], columns: NDArray[np.float32]) -> str:
    """What the authors' recorder would have written of these points."""
    parts = []
    point = 0
    for index, (x, y, z, velocity, intensity) in enumerate(columns.tolist()):
        point = point + 1 if index and frame[index] == frame[index - 1] else 0
        parts.append(POINT.format(seq=index, point=point, x=x, y=y, z=z, velocity=velocity, intensity=intensity))
    return "".join(parts)


def each_file(files: dict[str, int]) -> list[tuple[str, str, str, int]]:
    """(split, activity, name, seed) of a set with so many files of each activity in each split."""
    return [
        (split, activity, f"Data/{split}/{activity}/{number:02d}.txt", 100 * kind + 20 * (split == "Test") + number)
        for split, count in files.items()
        for kind, activity in enumerate(ACTIVITIES)
        for number in range(count)
    ]


def write_original(root: Path, frames: int, files: dict[str, int]) -> None:
    """Write a set in the layout of its authors."""
    for _, _, name, seed in each_file(files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(*points(frames, seed)))
