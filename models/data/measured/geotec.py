"""GeoTec CSI activity: Wi-Fi CSI of one person between two devices, and again later the same day.

Matey-Sanz, Torres-Sospedra and Moreira, Temporal Stability on Human Activity Recognition based on Wi-Fi CSI, IPIN 2023.
The authors train on executions 1 to 8 of the first data set, D1, and test on the rest of it, then on D2, D3 and D4.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.data.measured.files import BadFile, read_arrays
from models.data.measured.samples import Column, MeasuredSet, Samples

SUBCARRIERS, STEPS = 56, 50
# In the order of the authors: what is done, and on the side of which end of the link.
CLASSES = (
    "SEATED_RX", "STANDING_UP_RX", "WALKING_TX", "TURN_TX", "SITTING_DOWN_TX",
    "SEATED_TX", "STANDING_UP_TX", "WALKING_RX", "TURN_RX", "SITTING_DOWN_RX",
)  # fmt: skip
_SOURCE = "https://github.com/GeoTecINIT/stability-csi-har"
# Part: data set, first and last execution. The latest of the authors' training executions serve as validation.
_PARTS = {
    "train": (1, 1, 6),
    "val": (1, 7, 8),
    "test-d1": (1, 9, 10),
    "test-d2": (2, 1, 2),
    "test-d3": (3, 1, 2),
    "test-d4": (4, 1, 2),
}


def read(folder: Path, part: str) -> Samples:
    """The windows of one part, in the order of time."""
    path = folder / "windows_f32.npz"
    expected: dict[str, tuple[str, tuple[int | str, ...]]] = {
        "x": ("float32", ("windows", SUBCARRIERS, STEPS)),
        "y": ("str", ("windows",)),
        "dataset": ("uint8", ("windows",)),
        "episode": ("str", ("windows",)),
    }
    arrays = read_arrays(path, expected, _SOURCE)
    if strange := sorted(set(arrays["y"].tolist()) - set(CLASSES)):
        raise BadFile(f"{path}: expected labels of {', '.join(CLASSES)}, got {', '.join(strange)}")
    data_set, first, last = _PARTS[part]
    executions = [f"e{number:02d}_{way}" for number in range(first, last + 1) for way in ("rx_tx", "tx_rx")]
    chosen = (arrays["dataset"] == data_set) & np.isin(arrays["episode"], executions)
    if missing := sorted(set(executions) - set(arrays["episode"][chosen].tolist())):
        raise BadFile(f"{path}: expected windows of D{data_set} {', '.join(missing)}, got none")
    activity = np.array([CLASSES.index(name) for name in arrays["y"][chosen].tolist()], np.int64)
    group = np.array([f"D{data_set}/{name}" for name in arrays["episode"][chosen].tolist()])
    return Samples(part, {"csi": arrays["x"][chosen]}, {"activity": activity}, group)


SET = MeasuredSet(
    name="geotec-csi",
    about="Wi-Fi CSI of one person walking, turning, sitting and standing up between two devices, four times in a day.",
    folder="geotec_csi_har",
    inputs={"csi": Column("float32", (SUBCARRIERS, STEPS), "", "amplitude by subcarrier and packet")},
    labels={"activity": Column("int64", (), "", "what is done, at which end of the link", CLASSES)},
    parts=tuple(_PARTS),
    read=read,
    protocol=(
        "The authors': executions 1 to 8 of D1 train, 9 and 10 test (80 and 20 % of the windows); D2, D3 and D4 came "
        "10, 30 and 90 minutes later. Executions 7 and 8 are our validation."
    ),
    figure=(
        "accuracy on D1, D2, D3, D4. The authors' CNN: **0.851, 0.404, 0.392, 0.224**. ExtraTrees (computed here): "
        "0.848 ± 0.021, 0.324 ± 0.006, 0.340 ± 0.006, 0.156 ± 0.026"
    ),
    licence="ODC-By 1.0",
    source=_SOURCE,
    use="train",
    limits=(
        "One person in one room. Windows of an execution overlap by half, so a split must not go through executions.",
        "Amplitudes only. D2 to D4 repeat D1 with the same person and devices, later.",
    ),
)
