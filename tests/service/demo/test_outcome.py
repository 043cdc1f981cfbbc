from __future__ import annotations

import pytest

from service.demo.outcome import Outcome, Region, Truth
from tests.service.demo.outcomes import result


@pytest.mark.parametrize(
    ("orientation_deg", "east_m", "north_m", "holds"),
    [
        (0.0, 0.0, 3.9, True),  # the major axis points north
        (0.0, 3.9, 0.0, False),
        (90.0, 3.9, 0.0, True),  # east
        (90.0, 0.0, 3.9, False),
        (45.0, 2.7, 2.7, True),  # north-east: clockwise from north
        (45.0, -2.7, 2.7, False),
    ],
)
def test_region_is_turned_clockwise_from_north(
    orientation_deg: float, east_m: float, north_m: float, holds: bool
) -> None:
    assert Region(4.0, 1.0, orientation_deg).holds(east_m, north_m) is holds


def test_answer_is_judged_against_the_truth() -> None:
    outcome = Outcome.answered(7, "munich", "ue-1", Truth((3.0, 4.0), los=False), result(0, (0.0, 4.0)))
    assert outcome.error_m == pytest.approx(3.0)
    assert outcome.region_holds is True
    assert outcome.los_right is False
    assert outcome.activity_right is None
    assert outcome.weights["csi"] == 1.0


def test_a_model_without_a_gate_has_the_weights_of_its_cues() -> None:
    answered = {**result(0, (0.0, 0.0)), "explanation": {"gate": None, "cues": {"csi": 1.0}}}
    assert Outcome.answered(0, "street", "ue-1", Truth(), answered).weights == {"csi": 1.0}


def test_what_was_not_measured_is_not_judged() -> None:
    outcome = Outcome.answered(0, "munich", "ue-1", Truth(), result(0, (0.0, 0.0)))
    assert (outcome.error_m, outcome.region_holds, outcome.los_right) == (None, None, None)


def test_failed_frame_keeps_the_detail_of_its_problem() -> None:
    problem = {"title": "Invalid input", "status": 422, "detail": "frames[0].csi: expected 16384 bytes, got 3"}
    outcome = Outcome.answered(0, "munich", "ue-1", Truth((0.0, 0.0)), {"index": 0, "status": 422, "error": problem})
    assert outcome.error == problem["detail"]
    assert outcome.error_m is None


def test_unknown_truth_is_refused() -> None:
    with pytest.raises(TypeError, match="speed"):
        Truth.from_json({"speed": 3.0})
