from __future__ import annotations

import io

from rich.console import Console

from service.demo.outcome import Outcome, Truth
from service.demo.summary import summarise
from service.demo.table import FIRST_ROWS, PIPE_WIDTH, WORST_ROWS, print_outcomes, print_summary
from tests.service.demo.outcomes import active, outcome


def _printed(outcomes: list[Outcome], every_row: bool = False, width: int = PIPE_WIDTH) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_outcomes(console, outcomes, every_row)
    return console.file.getvalue()  # type: ignore[attr-defined]


def _frames(text: str) -> list[int]:
    return [int(line.split()[0]) for line in text.splitlines() if line.strip()[:1].isdigit()]


def test_row_tells_truth_estimate_region_and_line_of_sight() -> None:
    (row,) = [line for line in _printed([outcome(3, 1.5, los=False, told_los=True)]).splitlines() if "ue-0" in line]
    assert " ".join(row.split()) == "3 ue-0 30.0, 15.0 31.5, 15.0 1.50 2.0 × 2.0 yes NLoS LoS 0.90"


def test_each_site_has_only_the_columns_that_it_answers() -> None:
    text = _printed([outcome(0, 1.0), active(1, "walk", "jump")])
    munich, lab = text.split("Site lab")
    assert "90 % region m" in munich
    assert "activity" not in munich
    assert "activity" in lab
    assert "error m" not in lab


def test_long_replays_show_the_first_and_the_worst_frames() -> None:
    outcomes = [outcome(n, error_m=float(n % 50)) for n in range(100)]
    assert _frames(_printed(outcomes)) == [*range(FIRST_ROWS), 49, 99, 48, 98]
    assert len(_frames(_printed(outcomes, every_row=True))) == 100


def test_wrong_activities_come_first_among_the_worst() -> None:
    outcomes = [active(n, "walk", "jump" if n == 60 else "walk") for n in range(100)]
    assert _frames(_printed(outcomes))[-WORST_ROWS] == 60


def test_nothing_is_cut_in_a_log() -> None:
    outcomes = [outcome(n, error_m=123.45, region_m=99.9) for n in range(-50, -40)]
    assert "…" not in _printed(outcomes)


def test_failed_frame_is_told_with_its_reason_literally() -> None:
    reason = "frames[0].csi: expected shape [32, 64], got [bold]"
    text = _printed([Outcome(4, "munich", "[red]ue", Truth(), error=reason)])
    assert f"Frame 4 (munich, [red]ue) failed: {reason}" in text


def test_summary_is_one_line_beside_the_card() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_summary(console, "fusion 0.1.0", summarise([outcome(0, 1.0), outcome(1, 2.0)]), {"position_median_m": 1.25})
    (line,) = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "fusion 0.1.0: 2 of 2 frames answered · median error 1.50 m (card 1.25 m)" in line
