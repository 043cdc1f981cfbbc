"""What came back for one frame, beside the truth that was recorded with it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Truth:
    """What is known of a frame; None where it was not measured."""

    position_enu_m: tuple[float, float] | None = None
    los: bool | None = None
    activity: str | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """From a line of a recording. Raises `TypeError` on an unknown field."""
        position = data.get("position_enu_m")
        return cls(**{**data, "position_enu_m": None if position is None else (float(position[0]), float(position[1]))})


@dataclass(frozen=True)
class Region:
    """Confidence ellipse around an estimated position: semi-axes in m, orientation of the larger one."""

    semi_major_m: float
    semi_minor_m: float
    orientation_deg: float  # clockwise from north

    def holds(self, east_m: float, north_m: float) -> bool:
        """Whether the ellipse holds a point, given relative to its centre."""
        turn = math.radians(self.orientation_deg)
        along = east_m * math.sin(turn) + north_m * math.cos(turn)
        across = east_m * math.cos(turn) - north_m * math.sin(turn)
        return math.hypot(along / max(self.semi_major_m, 1e-9), across / max(self.semi_minor_m, 1e-9)) <= 1.0


@dataclass(frozen=True)
class Outcome:
    """The answer to one frame, or why there is none, beside the truth."""

    frame: int  # counted from 0 through the whole recording
    site: str
    ue: str
    truth: Truth
    error: str | None = None  # detail of the problem, None where the frame was answered
    position_enu_m: tuple[float, float] | None = None
    region: Region | None = None  # of 90 % confidence
    los: bool | None = None
    los_probability: float | None = None
    activity: str | None = None
    activity_probability: float | None = None
    weights: dict[str, float] = field(default_factory=dict)  # of each modality, or of each cue of a radio model
    degraded: tuple[str, ...] = ()  # parts of the service that were down

    @property
    def error_m(self) -> float | None:
        """Distance from the true to the estimated position, where both are known."""
        if self.position_enu_m is None or self.truth.position_enu_m is None:
            return None
        return math.dist(self.position_enu_m, self.truth.position_enu_m)

    @property
    def region_holds(self) -> bool | None:
        """Whether the confidence region holds the true position, where both are known."""
        if self.region is None or self.position_enu_m is None or self.truth.position_enu_m is None:
            return None
        (east, north), (true_east, true_north) = self.position_enu_m, self.truth.position_enu_m
        return self.region.holds(true_east - east, true_north - north)

    @property
    def los_right(self) -> bool | None:
        """Whether the line of sight was told rightly, where it was measured and answered."""
        return None if self.los is None or self.truth.los is None else self.los == self.truth.los

    @property
    def activity_right(self) -> bool | None:
        """Whether the activity was told rightly, where it was measured and answered."""
        return None if self.activity is None or self.truth.activity is None else self.activity == self.truth.activity

    def to_json(self) -> dict[str, object]:
        """The outcome as JSON-ready values, with what follows from it."""
        derived = {"error_m": self.error_m, "region_holds": self.region_holds}
        return {**asdict(self), **derived}

    @classmethod
    def answered(cls, frame: int, site: str, ue: str, truth: Truth, result: dict[str, Any]) -> Self:
        """From one entry of `results` in the answer to `POST /v1/sense`."""
        if "error" in result:
            problem = result["error"]
            return cls(frame, site, ue, truth, error=str(problem.get("detail", problem)))
        position, los, activity = result.get("position"), result.get("los"), result.get("activity")
        region = position["region"] if position else None
        return cls(
            frame,
            site,
            ue,
            truth,
            position_enu_m=tuple(position["enu_m"]) if position else None,
            region=Region(region["semi_major_m"], region["semi_minor_m"], region["orientation_deg"])
            if region
            else None,
            los=los["line_of_sight"] if los else None,
            los_probability=los["probability"] if los else None,
            activity=activity["label"] if activity else None,
            activity_probability=activity["probability"] if activity else None,
            weights=result["explanation"]["gate"] or result["explanation"]["cues"] or {},
            degraded=tuple(result["degraded"]),
        )
