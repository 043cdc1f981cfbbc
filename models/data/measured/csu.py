"""CSU CSI localisation: Wi-Fi CSI at known places in corridors (Wang and Pasricha, IPIN 2022, arXiv 2205.08068).

Of the 64 values of each packet 8 belong to subcarriers that nobody transmits on: the one at zero frequency and 7 at
the edge of the band. The chip leaves old memory there. It changes from one stretch of recordings to the next and is the
same in `ref` and `test`, so it tells *where* a packet was recorded without any radio, and the published protocol
rewards a model for reading it. `csu-csi` has zeros there; `csu-csi-as-published` keeps everything.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.measured.files import read_arrays
from models.data.measured.samples import Column, MeasuredSet, Samples

SUBCARRIERS = 64
UNUSED = (0, *range(29, 36))
"""Subcarriers without a signal, in the order of the transform: zero frequency, then upwards and from the lowest on."""

_SOURCE = "https://github.com/EPIC-CSU/csi-rssi-dataset-indoor-nav"
_VALIDATION = 6  # every sixth place of `ref`


def read(folder: Path, part: str, unused: bool) -> Samples:
    """The packets of one part, place by place; with the values of the unused subcarriers or with zeros there."""
    half = "test" if part == "test" else "ref"
    path = folder / "csu_300_i16.npz"
    expected: dict[str, tuple[str, tuple[int | str, ...]]] = {
        f"csi_{half}": ("int16", ("packets", SUBCARRIERS, 2)),
        f"xy_{half}": ("float32", ("packets", 2)),
        f"path_{half}": ("uint8", ("packets",)),
        f"rssi_{half}": ("int8", ("packets",)),
        f"loc_{half}": ("str", ("packets",)),
    }
    arrays = read_arrays(path, expected, _SOURCE)
    names = [
        f"{half}/path {way}/{place}" for way, place in zip(arrays[f"path_{half}"], arrays[f"loc_{half}"], strict=True)
    ]
    group = np.array(names)
    chosen = np.ones(len(group), bool) if half == "test" else _validation(group) == (part == "val")
    csi = arrays[f"csi_{half}"][chosen].astype(np.float32).view(np.complex64)[..., 0]
    if not unused:
        csi[:, UNUSED] = 0
    labels = {
        "position": arrays[f"xy_{half}"][chosen],
        "path": arrays[f"path_{half}"][chosen].astype(np.int64) - 1,
    }
    rssi = arrays[f"rssi_{half}"][chosen].astype(np.float32)
    return Samples(part, {"csi": csi, "rssi": rssi}, labels, group[chosen])


def _validation(group: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which packets are from every sixth place, counted in the order in which the places come."""
    places = list(dict.fromkeys(group.tolist()))
    return np.isin(group, places[_VALIDATION // 2 :: _VALIDATION])


def _described(name: str, unused: bool, figure: str, limits: tuple[str, ...]) -> MeasuredSet:
    return MeasuredSet(
        name=name,
        about="Wi-Fi CSI over 20 MHz at places in corridors, a few steps apart, one antenna.",
        folder="csu_csi",
        inputs={
            "csi": Column(
                "complex64", (SUBCARRIERS,), "", "raw levels by subcarrier, zero frequency first; "
                + ("unused ones as the chip left them" if unused else "0 in the 8 unused ones"),
            ),
            "rssi": Column("float32", (), "dBm", "received power, one value a recording"),
        },
        labels={
            "position": Column("float32", (2,), "m", "place in the authors' frame; unit not stated, steps fit metres"),
            "path": Column("int64", (), "", "which of five walks"),
        },
        parts=("train", "val", "test"),
        read=partial(read, unused=unused),
        protocol="The authors': places of `ref` train, the other places of `test` test, each walk by itself. Every "
        "sixth place of `ref` is our validation.",
        figure=figure,
        licence="BSD-3-Clause",
        source=_SOURCE,
        use="compare" if unused else "train",
        limits=limits,
    )  # fmt: skip


_ABOUT_SPLIT = (
    "Test places lie among the training ones, most less than 1 m from one; a group is one recording at one place."
)

SETS = (
    _described(
        "csu-csi", False, "kNN-20 on normalised amplitude, walk by walk (computed here): **9.19 m mean, "
        "8.15 m median**",
        (_ABOUT_SPLIT,),
    ),
    _described(
        "csu-csi-as-published", True,
        "the paper claims up to 68.5 % less than others, without metres. kNN-20 on normalised amplitude, walk by walk "
        "(computed here): **2.52 m mean, 1.41 m median**; the middle of the places with the nearest unused "
        "subcarriers, so without any radio: 2.28 and 1.60 m",
        (
            _ABOUT_SPLIT,
            "Leaks: the unused subcarriers hold old memory of the chip, each the same in at least 98 % of the packets "
            "of a recording and shared by `ref` and `test` nearby. Only to compare with the figures of others; train "
            "nothing on it that is to be used.",
        ),
    ),
)  # fmt: skip
