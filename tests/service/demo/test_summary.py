from __future__ import annotations

from dataclasses import replace

import pytest

from service.demo.outcome import Outcome, Truth
from service.demo.summary import shortfalls, summarise
from tests.service.demo.outcomes import active, outcome

SAMPLE = [outcome(0, 1.0), outcome(1, 2.0), outcome(2, 3.0, told_los=False), active(3, "walk", "walk")]
CARD = {
    "frames": 4,
    "position_median_m": 2.0,
    "position_p95_m": 2.9,
    "region_coverage": 2 / 3,
    "los_accuracy": 2 / 3,
    "activity_accuracy": 1.0,
}


def test_figures_of_a_replay() -> None:
    summary = summarise(SAMPLE)
    assert (summary.frames, summary.failed) == (4, 0)
    assert summary.to_json() == pytest.approx({**CARD, "failed": 0, "degraded": 0})


def test_what_was_never_measured_has_no_figure() -> None:
    summary = summarise([active(0, "walk", "jump")])
    assert (summary.position_median_m, summary.region_coverage, summary.los_accuracy) == (None, None, None)
    assert summary.activity_accuracy == 0.0


def test_same_figures_as_the_card_are_no_shortfall() -> None:
    assert shortfalls(summarise(SAMPLE), CARD) == []


def test_better_figures_than_the_card_are_no_shortfall() -> None:
    assert shortfalls(summarise(SAMPLE), {**CARD, "position_p95_m": 30.0, "los_accuracy": 0.1}) == []


@pytest.mark.parametrize("figure", [key for key in CARD if key != "frames"])
def test_each_figure_beyond_its_tolerance_is_named(figure: str) -> None:
    better = CARD[figure] * 0.9 if figure.endswith("_m") else CARD[figure] + 0.02
    (sentence,) = shortfalls(summarise(SAMPLE), {**CARD, figure: better})
    assert sentence.startswith(f"{figure}: the card says")


def test_difference_within_tolerance_is_no_shortfall() -> None:
    assert shortfalls(summarise(SAMPLE), {**CARD, "position_median_m": 1.93, "los_accuracy": 2 / 3 + 0.009}) == []


def test_failed_and_missing_frames_are_named() -> None:
    sample = [
        *SAMPLE[:3],
        Outcome(3, "munich", "ue-0", Truth((0.0, 0.0)), error="frames[0]: expected a modality, got none"),
    ]
    found = shortfalls(summarise(sample), {"frames": 5})
    assert found == ["1 of 4 frames were not answered", "frames: the card's sample has 5, 4 were replayed"]


def test_degraded_answers_are_named() -> None:
    sample = [replace(SAMPLE[0], degraded=("trajectory",)), *SAMPLE[1:]]
    assert shortfalls(summarise(sample), {}) == ["1 of 4 frames were answered while a part of the service was down"]


def test_promised_figure_without_a_measurement_is_named() -> None:
    (sentence,) = shortfalls(summarise(SAMPLE[:3]), {"activity_accuracy": 0.95})
    assert sentence == "activity_accuracy: the card says 0.950, nothing was measured"
