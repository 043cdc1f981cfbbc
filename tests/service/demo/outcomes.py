"""Outcomes and wire results as the demo's tests need them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from service.demo.outcome import Outcome, Region, Truth


def outcome(frame: int, error_m: float, region_m: float = 2.0, los: bool = True, told_los: bool = True) -> Outcome:
    """A frame whose estimate lies `error_m` to the east of the truth, with a round region."""
    return Outcome(
        frame,
        "munich",
        f"ue-{frame % 3}",
        Truth((10.0 * frame, 5.0 * frame), los),
        position_enu_m=(10.0 * frame + error_m, 5.0 * frame),
        region=Region(region_m, region_m, 0.0),
        los=told_los,
        los_probability=0.9 if told_los else 0.1,
        weights={"csi": 0.7, "camera": 0.2, "radar": 0.0, "lidar": 0.1},
    )


def active(frame: int, true: str, told: str) -> Outcome:
    """A person at the second site."""
    return Outcome(frame, "lab", f"person-{frame}", Truth(activity=true), activity=told, activity_probability=0.8)


def result(index: int, enu_m: tuple[float, float]) -> dict[str, Any]:
    """One entry of `results` as the gateway sends it."""
    return {
        "index": index,
        "status": 200,
        "position": {
            "enu_m": list(enu_m),
            "covariance_m2": [[1.0, 0.0], [0.0, 1.0]],
            "region": {"confidence": 90, "semi_major_m": 4.0, "semi_minor_m": 1.0, "orientation_deg": 90.0},
            "wgs84": {"latitude_deg": 48.1, "longitude_deg": 11.5},
        },
        "los": {"line_of_sight": True, "probability": 0.98},
        "activity": None,
        "explanation": {"gate": {"csi": 1.0, "camera": 0.0, "radar": 0.0, "lidar": 0.0}},
        "degraded": [],
    }


def recording(path: Path, lines: int = 3, ues: int = 2) -> Path:
    """A recording of `lines` requests, one second apart, each with a frame of every UE; the truth is (line, UE)."""
    with gzip.open(path, "wt", encoding="utf-8") as out:
        for line in range(lines):
            frames = [
                {"site": "munich", "ue": f"ue-{u}", "timestamp_s": float(line), "text": "where"} for u in range(ues)
            ]
            truth = [{"position_enu_m": [line, u], "los": True, "activity": None} for u in range(ues)]
            out.write(json.dumps({"request": {"frames": frames}, "truth": truth}) + "\n")
    return path
