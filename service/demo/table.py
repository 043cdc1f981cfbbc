"""The answers beside the truth, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.demo.outcome import Outcome
from service.demo.summary import Summary

FIRST_ROWS = 8  # what is shown of a site with many frames: the first ones,
WORST_ROWS = 4  # and those that went worst
PIPE_WIDTH = 120  # columns to write where the output is no terminal
FIGURES = (
    ("position_median_m", "median error", "{:.2f} m"),
    ("position_p95_m", "95 % below", "{:.2f} m"),
    ("region_coverage", "90 % region holds the truth", "{:.1%}"),
    ("los_accuracy", "LoS right", "{:.1%}"),
    ("activity_accuracy", "activity right", "{:.1%}"),
)


def wide_console(stderr: bool) -> Console:
    """A console that does not fold the tables where the output is a pipe or a log."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=PIPE_WIDTH)


def print_outcomes(console: Console, outcomes: Sequence[Outcome], every_row: bool) -> None:
    """One table a site, with the columns that the site answers; then the frames that failed.

    Args:
        console: where to print.
        outcomes: the whole replay.
        every_row: print every frame; otherwise the first of each site, and the worst.
    """
    for site in dict.fromkeys(o.site for o in outcomes):
        _print_site(console, site, [o for o in outcomes if o.site == site and o.error is None], every_row)
    failed = [o for o in outcomes if o.error is not None]
    for outcome in failed if every_row else failed[:WORST_ROWS]:
        failure = f"Frame {outcome.frame} ({outcome.site}, {outcome.ue}) failed: {outcome.error}"
        console.print(failure, style="red", markup=False)
    if len(failed) > WORST_ROWS and not every_row:
        console.print(f"[red]... and {len(failed) - WORST_ROWS} more failed")


def print_summary(console: Console, name: str, summary: Summary, card: Mapping[str, object] | None) -> None:
    """One line of figures, each beside the card's where there is one."""
    measured = summary.to_json()
    parts = []
    for key, label, form in FIGURES:
        if (value := measured[key]) is None:
            continue
        promised = card.get(key) if card else None
        beside = f" [dim](card {form.format(promised)})[/]" if isinstance(promised, int | float) else ""
        parts.append(f"{label} [bold]{form.format(value)}[/]{beside}")
    answered = f"{summary.frames - summary.failed} of {summary.frames} frames answered"
    console.print(f"[bold]{name}[/]: {answered}" + "".join(f" · {part}" for part in parts), soft_wrap=True)


def _print_site(console: Console, site: str, outcomes: Sequence[Outcome], every_row: bool) -> None:
    if not outcomes:
        return
    rest = [] if every_row or len(outcomes) <= FIRST_ROWS + WORST_ROWS else outcomes[FIRST_ROWS:]
    shown = f"the first {FIRST_ROWS} and the worst {WORST_ROWS} of {len(outcomes)}" if rest else f"{len(outcomes)}"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("frame", justify="right", no_wrap=True)
    table.add_column("UE", overflow="ellipsis", no_wrap=True, max_width=14)
    columns: list[Callable[[Outcome], list[str]]] = []
    if any(o.position_enu_m for o in outcomes):
        columns.append(_position_cells)
        for header in ("true E, N m", "estimated E, N m", "error m", "90 % region m", "holds"):
            table.add_column(header, justify="right", no_wrap=True)
    if any(o.los is not None for o in outcomes):
        columns.append(_los_cells)
        for header in ("LoS", "told", "p(LoS)"):
            table.add_column(header, no_wrap=True)
    if any(o.activity for o in outcomes):
        columns.append(_activity_cells)
        for header in ("activity", "told", "p"):
            table.add_column(header, no_wrap=True)

    def add(rows: Sequence[Outcome]) -> None:
        for outcome in rows:
            table.add_row(
                str(outcome.frame), escape(outcome.ue), *(cell for cells in columns for cell in cells(outcome))
            )

    add(outcomes[:FIRST_ROWS] if rest else outcomes)
    if rest:
        table.add_section()
        add(sorted(rest, key=_badness, reverse=True)[:WORST_ROWS])
    console.print(f"\n[bold]Site {escape(site)}[/]: {shown} frames")
    console.print(table)


def _badness(outcome: Outcome) -> tuple[float, float, float]:
    """Larger is worse: the position first, then the activity, then the line of sight."""
    error_m = outcome.error_m or 0.0
    wrong_activity = float(outcome.activity_right is False) * (outcome.activity_probability or 0.0)
    los_for_truth = outcome.los_probability if outcome.truth.los else 1.0 - (outcome.los_probability or 0.0)
    return error_m, wrong_activity, -(los_for_truth or 0.0)


def _position_cells(outcome: Outcome) -> list[str]:
    region, holds = outcome.region, outcome.region_holds
    return [
        _point(outcome.truth.position_enu_m),
        _point(outcome.position_enu_m),
        "" if outcome.error_m is None else f"{outcome.error_m:.2f}",
        "" if region is None else f"{region.semi_major_m:.1f} × {region.semi_minor_m:.1f}",
        "" if holds is None else ("[green]yes[/]" if holds else "[red]no[/]"),
    ]


def _los_cells(outcome: Outcome) -> list[str]:
    told = _judged(_los(outcome.los), outcome.los_right)
    return [_los(outcome.truth.los), told, _probability(outcome.los_probability)]


def _activity_cells(outcome: Outcome) -> list[str]:
    told = _judged(outcome.activity or "", outcome.activity_right)
    return [outcome.truth.activity or "", told, _probability(outcome.activity_probability)]


def _judged(label: str, right: bool | None) -> str:
    return f"[red]{label}[/]" if right is False else label


def _probability(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _los(value: bool | None) -> str:
    return "" if value is None else ("LoS" if value else "NLoS")


def _point(enu_m: tuple[float, float] | None) -> str:
    if enu_m is None:
        return ""
    east, north = (round(value, 1) + 0.0 for value in enu_m)  # the sum turns -0.0 into 0.0
    return f"{east:.1f}, {north:6.1f}"
