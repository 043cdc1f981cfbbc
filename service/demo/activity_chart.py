"""A chart of the activities that were told, apart from the map: measured people and ray-traced streets never mix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from service.demo.outcome import Outcome
from service.demo.panels import draw_activities


def draw_activity_chart(out: Path, outcomes: Sequence[Outcome]) -> list[Path]:
    """Write `activities.png` into the folder `out` where any activity is known and told; returns what was written."""
    known = [o for o in outcomes if o.activity_right is not None]
    if not known:
        return []
    out.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(6.4, 4.4), dpi=120, facecolor="white", layout="constrained")
    draw_activities(figure.add_subplot(), known)
    path = out / "activities.png"
    figure.savefig(path)
    return [path]
