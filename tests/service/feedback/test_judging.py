from __future__ import annotations

import math

import pytest

from service.feedback.judging import KeptAnswer, Label, Verdict, judge

ANSWER = KeptAnswer((10.0, 20.0, 4.0, 1.0, 90.0), True, "walk")  # its ellipse lies east-west


def at(east_m: float, north_m: float) -> Label:
    return Label("city", "ue-1", 1.0, position_enu_m=(east_m, north_m))


@pytest.mark.parametrize(
    ("truth", "error_m", "covered"),
    [
        ((10.0, 20.0), 0.0, True),
        ((13.9, 20.0), 3.9, True),
        ((14.1, 20.0), 4.1, False),
        ((10.0, 20.9), 0.9, True),
        ((10.0, 21.1), 1.1, False),
        ((13.0, 20.7), math.hypot(3.0, 0.7), False),
    ],
)
def test_error_is_a_distance_and_the_ellipse_covers_or_not(
    truth: tuple[float, float], error_m: float, covered: bool
) -> None:
    verdict = judge(at(*truth), ANSWER)
    assert verdict.position_error_m == pytest.approx(error_m)
    assert verdict.region_covered is covered


@pytest.mark.parametrize("orientation_deg", [0.0, 30.0, 120.0, 179.9])
def test_ellipse_is_turned_clockwise_from_north(orientation_deg: float) -> None:
    answer = KeptAnswer((0.0, 0.0, 4.0, 1.0, orientation_deg), None, None)
    bearing = math.radians(orientation_deg)
    along, across = (math.sin(bearing), math.cos(bearing)), (math.cos(bearing), -math.sin(bearing))
    assert judge(at(3.9 * along[0], 3.9 * along[1]), answer).region_covered
    assert not judge(at(1.1 * across[0], 1.1 * across[1]), answer).region_covered


def test_ellipse_without_an_extent_covers_its_centre() -> None:
    answer = KeptAnswer((5.0, 5.0, 0.0, 0.0, 0.0), None, None)
    assert judge(at(5.0, 5.0), answer).region_covered is True
    assert judge(at(5.0, 5.01), answer).region_covered is False


def test_classes_are_right_or_wrong() -> None:
    label = Label("city", "ue-1", 1.0, line_of_sight=False, activity="walk")
    assert judge(label, ANSWER) == Verdict(None, None, False, True)


def test_what_one_side_does_not_know_is_not_judged() -> None:
    label = Label("city", "ue-1", 1.0, position_enu_m=(1.0, 2.0), line_of_sight=True)
    assert judge(label, KeptAnswer(None, None, "walk")) == Verdict(None, None, None, None)


def test_tasks_of_a_label_are_those_it_knows_something_of() -> None:
    assert Label("city", "a", 1.0, line_of_sight=False).tasks == {"los"}
    assert Label("city", "a", 1.0, position_enu_m=(0.0, 0.0), activity="walk").tasks == {"position", "activity"}
    assert Label("city", "a", 1.0).tasks == set()
