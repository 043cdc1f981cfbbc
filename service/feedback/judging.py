"""A label against the answer that it belongs to."""

from __future__ import annotations

import math
from dataclasses import dataclass

_LEAST_AXIS_M = 5e-4  # half of the last digit that an axis is answered with


@dataclass(frozen=True, slots=True)
class Label:
    """What is true of one frame, as far as it is known.

    Attributes:
        site: of the frame.
        ue: of the frame.
        timestamp_s: of the frame, the very same number.
        position_enu_m: metres east and north of the site's origin.
        line_of_sight: whether the direct path was free.
        activity: what the person did.
    """

    site: str
    ue: str
    timestamp_s: float
    position_enu_m: tuple[float, float] | None = None
    line_of_sight: bool | None = None
    activity: str | None = None

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that something is known of."""
        truths = {"position": self.position_enu_m, "los": self.line_of_sight, "activity": self.activity}
        return frozenset(task for task, truth in truths.items() if truth is not None)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """As much of an answer as it takes to judge it; None where a task was not answered.

    Attributes:
        position: east m, north m, semi-major axis m, semi-minor axis m, direction of the former in degrees clockwise
            from north.
        line_of_sight: what was answered.
        activity: what was answered.
        labelled: tasks that a label has been counted for.
    """

    position: tuple[float, float, float, float, float] | None
    line_of_sight: bool | None
    activity: str | None
    labelled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How true an answer was; None where a task was not answered, or nothing is known of it."""

    position_error_m: float | None
    region_covered: bool | None
    line_of_sight_correct: bool | None
    activity_correct: bool | None


def judge(label: Label, answer: KeptAnswer) -> Verdict:
    """Compare what both of them know."""
    error_m = covered = None
    if label.position_enu_m is not None and answer.position is not None:
        error_m, covered = _judge_position(label.position_enu_m, answer.position)
    return Verdict(
        error_m,
        covered,
        _equal(label.line_of_sight, answer.line_of_sight),
        _equal(label.activity, answer.activity),
    )


def _judge_position(
    truth_m: tuple[float, float], answer: tuple[float, float, float, float, float]
) -> tuple[float, bool]:
    """Distance in m, and whether the ellipse covers the truth."""
    east_m, north_m, semi_major_m, semi_minor_m, orientation_deg = answer
    off_east_m, off_north_m = truth_m[0] - east_m, truth_m[1] - north_m
    sine, cosine = math.sin(math.radians(orientation_deg)), math.cos(math.radians(orientation_deg))
    along = (off_east_m * sine + off_north_m * cosine) / max(semi_major_m, _LEAST_AXIS_M)
    across = (off_east_m * cosine - off_north_m * sine) / max(semi_minor_m, _LEAST_AXIS_M)
    return math.hypot(off_east_m, off_north_m), math.hypot(along, across) <= 1.0


def _equal(truth: bool | str | None, answer: bool | str | None) -> bool | None:
    return None if truth is None or answer is None else truth == answer
