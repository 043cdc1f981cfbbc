"""RadHAR: mmWave radar point clouds of five activities (Singh et al., mmNets 2019; BSD-3-Clause).

Reads the repacked `radhar_points_f16.npz` of a folder, or the original layout: `Data/{Train,Test}/<activity>/*.txt`
in the ROS message format of the authors. Windows are the published ones: 60 frames (2 s at 30 frames a second), hop 10.
The split is by file, never by window.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.measured.files import BadFile, read_arrays
from models.data.measured.samples import Column, MeasuredSet, Samples
from service.contract.captures import RADAR_COLUMNS
from service.contract.labels import ACTIVITIES
from service.contract.sites import Site

WINDOW_FRAMES, HOP_FRAMES, FRAME_RATE_HZ = 60, 10, 30.0
LICENCE = "BSD-3-Clause"
SOURCE = "RadHAR, https://github.com/nesl/RadHAR"

SITE = Site(
    name="radhar",
    origin_wgs84=(34.0689, -118.4452, 0.0),  # the authors' university; the room is not stated
    boresight_deg=90.0,  # so that east is the radar's forward axis
    mast_height_m=0.0,  # heights are relative to the radar, whose own height is not stated
    range_max_m=5.5,
    velocity_max_mps=4.0,
    height_min_m=-2.0,
    height_max_m=2.0,
    radar_window_s=WINDOW_FRAMES / FRAME_RATE_HZ,
    tasks=("activity",),
)


@dataclass(frozen=True)
class Recording:
    """One file: one person doing one thing for some 20 s.

    Attributes:
        points: float32 `[N, 6]` in the layout of the wire (`contract.captures`), time from the file's start.
        starts: int64 `[F + 1]` where each of its F radar frames begins in `points`.
        activity: index into `ACTIVITIES`.
        part: `"train"`, `"val"` or `"test"`.
    """

    name: str
    points: NDArray[np.float32]
    starts: NDArray[np.int64]
    activity: int
    part: str

    @property
    def windows(self) -> int:
        """Number of published windows."""
        return max(0, (len(self.starts) - 1 - WINDOW_FRAMES) // HOP_FRAMES + 1)

    def window(self, index: int) -> NDArray[np.float32]:
        """Detections of one window, time from the window's start."""
        first = index * HOP_FRAMES
        low, high = self.starts[first], self.starts[first + WINDOW_FRAMES]
        points = self.points[low:high].copy()
        points[:, 0] -= np.float32(first / FRAME_RATE_HZ)
        return points


def load(root: Path, validation_share: float = 0.15) -> list[Recording]:
    """All recordings under `root`; validation files are taken from the training ones, evenly over the activities.

    Raises:
        FileNotFoundError: neither layout is there.
        BadFile: a file is not what it should be.
    """
    packed = root / "radhar_points_f16.npz"
    files = _packed(packed) if packed.exists() else _original(root)
    recordings = []
    seen = dict.fromkeys(ACTIVITIES, 0)
    for name, activity, test, frame, columns in files:
        part = "test" if test else "train"
        if not test:
            seen[activity] += 1
            # Every n-th file in the order of names, so that validation has takes of every session.
            part = "val" if seen[activity] % round(1 / validation_share) == 0 else "train"
        recordings.append(_recording(name, ACTIVITIES.index(activity), part, frame, columns))
    return recordings


def by_part(root: Path | None) -> dict[str, list[Recording]]:
    """Recordings by part; all parts are empty where `root` is None."""
    recordings = load(root) if root else []
    return {part: [r for r in recordings if r.part == part] for part in ("train", "val", "test")}


def read(folder: Path, part: str) -> Samples:
    """The published windows of one part, file by file."""
    recordings = by_part(folder)[part]
    windows = [(recording, index) for recording in recordings for index in range(recording.windows)]
    return Samples(
        part,
        {"radar": [recording.window(index) for recording, index in windows]},
        {"activity": np.array([recording.activity for recording, _ in windows], np.int64)},
        np.array([recording.name for recording, _ in windows]),
    )


def _recording(
    name: str, activity: int, part: str, frame: NDArray[np.int64], columns: NDArray[np.float32]
) -> Recording:
    order = np.argsort(frame, kind="stable")
    frame, columns = frame[order], columns[order]
    starts = np.searchsorted(frame, np.arange(frame[-1] + 2))
    time_s = frame / FRAME_RATE_HZ
    points = np.column_stack([time_s, columns]).astype(np.float32)
    return Recording(name, points, starts, activity, part)


_File = tuple[str, str, bool, NDArray[np.int64], NDArray[np.float32]]


def _packed(path: Path) -> list[_File]:
    arrays = read_arrays(
        path,
        {
            "points": ("float16", ("points", 5)),
            "frame": ("int32", ("points",)),
            "file_id": ("int16", ("points",)),
            "names": ("str", ("files",)),
            "split": ("str", ("files",)),
            "y": ("uint8", ("files",)),
            "classes": ("str", (len(ACTIVITIES),)),
        },
        SOURCE,
    )
    points, frame, file_id = arrays["points"].astype(np.float32), arrays["frame"].astype(np.int64), arrays["file_id"]
    names, split, y, classes = (arrays[key] for key in ("names", "split", "y", "classes"))
    if tuple(classes) != ACTIVITIES:
        raise BadFile(f"{path}: expected classes {list(ACTIVITIES)}, got {list(classes)}")
    order = np.argsort(file_id, kind="stable")
    bounds = np.searchsorted(file_id[order], np.arange(len(names) + 1))
    found = []
    for index, name in enumerate(names):
        rows = order[bounds[index] : bounds[index + 1]]
        found.append((str(name), ACTIVITIES[y[index]], split[index] == "Test", frame[rows], points[rows]))
    return found


_FIELD = re.compile(r"^\s*(x|y|z|velocity|intensity|point_id):\s*(\S+)", re.MULTILINE)


def _original(root: Path) -> list[_File]:
    paths = sorted(root.glob("Data/*/*/*.txt"))
    if not paths:
        raise FileNotFoundError(
            f"{root}: expected radhar_points_f16.npz or Data/{{Train,Test}}/<activity>/*.txt, found neither; "
            f"get the set from {SOURCE}"
        )
    found = []
    for path in paths:
        values: dict[str, list[float]] = {}
        for key, value in _FIELD.findall(path.read_text()):
            values.setdefault(key, []).append(float(value))
        columns = np.column_stack([values[key] for key in ("x", "y", "z", "velocity", "intensity")])
        frame = np.cumsum(np.array(values["point_id"]) == 0) - 1
        name = str(path.relative_to(root))
        found.append((name, path.parent.name, path.parts[-3] == "Test", frame, columns.astype(np.float32)))
    return found


SET = MeasuredSet(
    name="radhar",
    about="Point clouds of a mmWave radar in a room: five activities, a file of some 20 s each.",
    folder="radhar",
    inputs={
        "radar": Column("float32", ("points", RADAR_COLUMNS), "s, m, m, m, m/s, 1", "detections of a window: time, "
                        "x (forward), y, z, radial speed, intensity"),
    },
    labels={"activity": Column("int64", (), "", "what the person does", ACTIVITIES)},
    parts=("train", "val", "test"),
    read=read,
    protocol="The authors' files for training and test, in windows of 60 frames (2 s), 10 frames apart. Every seventh "
    "training file of an activity is our validation.",
    figure="accuracy over windows. Theirs 0.92, OG-PCL 0.9175 at 0.83 M parameters, both on the whole set. On a subset "
    "of 186 files ExtraTrees over simple statistics (computed here): **0.9666 ± 0.0006** trained on train and val, "
    "0.9669 ± 0.0003 on train alone",
    licence=LICENCE,
    source=SOURCE.removeprefix("RadHAR, "),
    use="train",
    limits=(
        "One room. The split is by file: the files do not say who is in them, so the same people may be in both parts.",
        "The subset is saturated: it proves the modality, not the model.",
    ),
)  # fmt: skip
