"""Tiny sets in the files and formats of the measured ones, made of numbers that a test can foresee."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.data.measured import csu, deepsense, geotec, radiate
from service.contract.labels import ACTIVITIES

PACKETS = 3  # of a recording of CSU
REF_PLACES, TEST_PLACES = 13, 4
DRIVES, PER_DRIVE = 10, 4  # of a scenario of DeepSense
_CHARAN = {"train": range(0, 24), "val": range(24, 34), "test": range(34, 40)}  # rows of a scenario of DeepSense


def write_all(data: Path) -> None:
    """Every set below one folder."""
    writers = {
        "radhar": write_radhar,
        "geotec_csi_har": write_geotec,
        "csu_csi": write_csu,
        "deepsense_beams": write_deepsense,
        "radiate_sample": write_radiate,
    }
    for folder, write in writers.items():
        (data / folder).mkdir(parents=True)
        write(data / folder)


def write_radhar(root: Path) -> None:
    """Eight training files and one for the test of each activity, 70 frames of one point each: two windows a file."""
    names = [(split, a, n) for split, files in (("Train", 8), ("Test", 1)) for a in ACTIVITIES for n in range(files)]
    points = np.random.default_rng(0).integers(-512, 512, (70 * len(names), 5)) / 128
    np.savez(
        root / "radhar_points_f16.npz",
        points=points.astype(np.float16),
        frame=np.tile(np.arange(70, dtype=np.int32), len(names)),
        file_id=np.repeat(np.arange(len(names), dtype=np.int16), 70),
        names=np.array([f"Data/{split}/{activity}/{number}.txt" for split, activity, number in names]),
        split=np.array([split for split, _, _ in names]),
        y=np.array([ACTIVITIES.index(activity) for _, activity, _ in names], np.uint8),
        classes=np.array(ACTIVITIES),
    )


def geotec_arrays() -> dict[str, NDArray[np.generic]]:
    """Three windows of each execution; every value of window i is i."""
    executions = [
        (data_set, f"e{number:02d}_{way}")
        for data_set, count in ((1, 10), (2, 2), (3, 2), (4, 2))
        for number in range(1, count + 1)
        for way in ("rx_tx", "tx_rx")
        for _ in range(3)
    ]
    windows = len(executions)
    x = np.ones((windows, geotec.SUBCARRIERS, geotec.STEPS), np.float32) * np.arange(windows)[:, None, None]
    return {
        "x": x.astype(np.float32),
        "y": np.array([geotec.CLASSES[i % len(geotec.CLASSES)] for i in range(windows)]),
        "dataset": np.array([data_set for data_set, _ in executions], np.uint8),
        "episode": np.array([name for _, name in executions]),
    }


def write_geotec(root: Path) -> None:
    """See `geotec_arrays`."""
    np.savez(root / "windows_f32.npz", **geotec_arrays())


def csu_arrays() -> dict[str, NDArray[np.generic]]:
    """Places one unit apart on one walk, the last two of `ref` on another; the unused values are the place's number."""
    rng = np.random.default_rng(1)
    arrays: dict[str, NDArray[np.generic]] = {}
    for half, places, shift in (("ref", REF_PLACES, 0.0), ("test", TEST_PLACES, 0.5)):
        place = np.repeat(np.arange(places), PACKETS)
        csi = rng.integers(-900, 900, (len(place), csu.SUBCARRIERS, 2)).astype(np.int16)
        csi[:, list(csu.UNUSED)] = (place + 1)[:, None, None]
        arrays |= {
            f"csi_{half}": csi,
            f"xy_{half}": np.column_stack([place + shift, np.zeros(len(place))]).astype(np.float32),
            f"path_{half}": np.where(place < REF_PLACES - 2, 1, 2).astype(np.uint8),
            f"rssi_{half}": (-50 - place).astype(np.int8),
            f"loc_{half}": np.array([f"{200 + i}_1" for i in place]),
        }
    return arrays


def write_csu(root: Path) -> None:
    """See `csu_arrays`."""
    np.savez(root / "csu_300_i16.npz", **csu_arrays())


def deepsense_arrays() -> dict[str, NDArray[np.generic]]:
    """Sample i of a scenario has its strongest beam at i modulo 64 and is i metres north of the base station."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for s in deepsense.SCENARIOS:
        samples = np.arange(DRIVES * PER_DRIVE)
        power = np.full((len(samples), deepsense.BEAMS), 0.01, np.float32)
        power[samples, samples % deepsense.BEAMS] = 1
        mast = np.tile([33.4, -111.9], (len(samples), 1))
        there = mast + np.column_stack([samples / 110_911, np.zeros(len(samples))])
        arrays |= {
            f"s{s}_power": power,
            f"s{s}_bs_latlon": mast,
            f"s{s}_ue_latlon": there + (0.01 if s in deepsense.CALIBRATED else 0.0),
            f"s{s}_sequence": 1 + samples // PER_DRIVE,
        }
        if s in deepsense.CALIBRATED:
            arrays[f"s{s}_ue_latlon_calibrated"] = there
    return arrays


def write_deepsense(root: Path) -> None:
    """See `deepsense_arrays`; the lists have the rows of each scenario in order."""
    np.savez(root / "beams.npz", **deepsense_arrays())
    (root / "splits").mkdir()
    for scenario in (5, 6):
        for part, rows in _CHARAN.items():
            lines = ["index,unit2_pos,unit1_beam_32,unit1_beam_64"]
            lines += [f'{row + 1},"[{row / 40}, 0.5]",{(65 - row % 64) // 2},{64 - row % 64}' for row in rows]
            (root / "splits" / f"scenario{scenario}_pos_beam_{part}.csv").write_text("\n".join(lines) + "\n")


def write_radiate(root: Path) -> None:
    """Capture i has i + 1 points; in its radar the nearest range is brightest, and its camera is grey i."""
    count = np.arange(1, radiate.CAPTURES + 1)
    np.savez(
        root / "lidar_f32.npz",
        points=np.tile(np.repeat(count, count)[:, None], 5).astype(np.float32),
        count=count,
        time_s=np.arange(radiate.CAPTURES)[:, None] + np.zeros((1, 3)),
    )
    radar = np.zeros((576, 400), np.uint8)
    radar[0] = 200
    for i in range(radiate.CAPTURES):
        Image.fromarray(np.full((376, 672, 3), i, np.uint8)).save(root / f"camera_{i}.png")
        Image.fromarray(radar).save(root / f"radar_polar_{i}.png")
