"""RADIATE sample: camera, scanning radar and LiDAR of one car in fog (Sheeny et al., ICRA 2021).

Eight captures are no data to learn or to measure on: they show that real sensor files go through loaders, normalizers
and fusion.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.data.measured.files import BadFile, read_arrays, read_image
from models.data.measured.samples import Column, MeasuredSet, Samples

CAPTURES = 8
_CAMERA = (672, 376)  # columns, rows
_AZIMUTHS, _RANGES = 400, 576
_SOURCE = "https://github.com/marcelsheeny/radiate_sdk"


def read(folder: Path, part: str) -> Samples:
    """All captures, in the order of time."""
    path = folder / "lidar_f32.npz"
    expected: dict[str, tuple[str, tuple[int | str, ...]]] = {
        "points": ("float32", ("points", 5)),
        "count": ("int64", (CAPTURES,)),
        "time_s": ("float64", (CAPTURES, 3)),
    }
    arrays = read_arrays(path, expected, _SOURCE)
    points, count = arrays["points"], arrays["count"].astype(np.int64)
    if (count < 0).any() or count.sum() != len(points):
        raise BadFile(f"{path}: expected counts that add up to {len(points)} points, got {count.tolist()}")
    camera = [read_image(folder / f"camera_{i}.png", "RGB", _CAMERA, _SOURCE) for i in range(CAPTURES)]
    radar = [read_image(folder / f"radar_polar_{i}.png", "L", (_AZIMUTHS, _RANGES), _SOURCE).T for i in range(CAPTURES)]
    return Samples(
        part,
        {"camera": np.stack(camera), "radar": np.stack(radar), "lidar": np.split(points, np.cumsum(count)[:-1])},
        {"time_s": arrays["time_s"]},
        np.full(CAPTURES, "fog"),
    )


SET = MeasuredSet(
    name="radiate-sample",
    about="Camera, scanning radar and LiDAR of a car in fog, eight captures half a second apart.",
    folder="radiate_sample",
    inputs={
        "camera": Column("uint8", (_CAMERA[1], _CAMERA[0], 3), "", "RGB"),
        "radar": Column("uint8", (_AZIMUTHS, _RANGES), "", "power by azimuth (all around) and range (0 to 100 m)"),
        "lidar": Column("float32", ("points", 5), "m, m, m, 1, 1", "x, y, z, intensity, ring"),
    },
    labels={"time_s": Column("float64", (3,), "s", "instants of radar, camera and LiDAR; no truth")},
    parts=("sample",),
    read=read,
    protocol="None: all captures are one part, without anything to predict.",
    figure="none",
    licence="CC BY-NC-SA 4.0",
    source=_SOURCE,
    use="plumbing",
    limits=("The instants of radar and camera differ by 0.45 s in the first capture, by up to 0.05 s in the others.",),
)
