"""Answers as the pipeline makes them."""

from __future__ import annotations

from typing import Any

from service.contract.labels import ACTIVITIES
from service.pipeline.answers import Activity, Answer, Explanation, LineOfSight, Position, Region, Wgs84

TIME_S = 1_790_000_000.125
EXPLANATION = Explanation(
    gate={"csi": 1.0, "camera": 0.0, "radar": 0.0, "lidar": 0.0},
    cues=None,
    carrier_hz=28e9,
    trajectory_length=1,
    step_weight=(1.0,),
    ood_score=1.0,
    out_of_distribution=False,
)


def position(
    east_m: float, north_m: float, semi_major_m: float = 4.0, semi_minor_m: float = 1.0, orientation_deg: float = 90.0
) -> Position:
    region = Region(90, semi_major_m, semi_minor_m, orientation_deg)
    return Position((east_m, north_m), ((1.0, 0.0), (0.0, 1.0)), region, Wgs84(48.0, 11.0))


def answer(ue: str = "ue-1", **fields: Any) -> Answer:
    values: dict[str, Any] = {
        "site": "city",
        "timestamp_s": TIME_S,
        "position": position(10.0, 20.0),
        "los": LineOfSight(True, 0.9),
        "activity": None,
        "path": None,
        "explanation": EXPLANATION,
        "degraded": (),
        **fields,
    }
    return Answer(ue=ue, **values)


def activity(label: str) -> Activity:
    return Activity(label, 0.8, dict.fromkeys(ACTIVITIES, 0.2))
