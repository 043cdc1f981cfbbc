"""One picture a kind of panel, close to what Grafana shows."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator

from deploy.grafana.reading import BoardPanel, Target
from deploy.grafana.source import Series
from deploy.grafana.units import written

COLORS = {"green": "#56a64b", "orange": "#e0752d", "red": "#c4162a", "blue": "#3274d9", "text": "#888888"}
PALETTE = ("#3274d9", "#e0752d", "#56a64b", "#a352cc", "#e0b400", "#0097a7", "#c4162a", "#8e6e53", "#888888", "#1f3a68")
SMALL, TINY = 8, 7  # points
LEGEND_CHARACTERS = 90  # side by side beneath a panel

Answers = Sequence[tuple[Target, Sequence[Series]]]
"""What Prometheus answered to each query of a panel."""


def draw(axes: Axes, panel: BoardPanel, title: str, answers: Answers) -> None:
    """Draw a panel into its place, with what it says where there is no data."""
    axes.set_title(title, fontsize=SMALL + 1, loc="left", fontweight="bold")
    if not any(series for _, series in answers):
        axes.set_axis_off()
        axes.text(0.5, 0.5, panel.defaults.get("noValue", "No data"), ha="center", color="gray")
        return
    DRAWERS[panel.kind](axes, panel, answers)


def named(target: Target, series: Series) -> str:
    """What a series is called in the legend."""
    name = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: series.labels.get(match[1], ""), target.legend)
    return name.strip() or "value"


def color_of(value: float, thresholds: dict[str, Any]) -> str:
    """The colour of a value among thresholds, as hexadecimal."""
    color = "text"
    for step in thresholds.get("steps", []):
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    return COLORS.get(color, COLORS["text"])


def _lines(axes: Axes, panel: BoardPanel, answers: Answers) -> None:
    custom, unit = panel.defaults.get("custom", {}), panel.defaults.get("unit", "none")
    names, courses = [], []
    for target, found in answers:
        for series in found:
            names.append(named(target, series))
            courses.append(series.samples)
    order = sorted(range(len(names)), key=names.__getitem__)
    colors = {name: _override(panel, name) or PALETTE[i % len(PALETTE)] for i, name in enumerate(sorted(set(names)))}
    if custom.get("stacking", {}).get("mode", "none") != "none":
        times = sorted({time for course in courses for time, _ in course})
        heights = [[_finite(dict(courses[i]).get(time)) for time in times] for i in order]
        labels, fills = [names[i] for i in order], [colors[names[i]] for i in order]
        axes.stackplot(_days(times), heights, labels=labels, colors=fills, alpha=0.6)
    else:
        for i in order:
            times, values = _with_gaps(courses[i])
            marker = "." if len(times) == 1 else None
            axes.plot(_days(times), values, label=names[i], color=colors[names[i]], linewidth=1, marker=marker)
    _dress(axes, panel, unit, logarithmic=custom.get("scaleDistribution", {}).get("type") == "log")
    if custom.get("thresholdsStyle"):
        low, high = axes.get_ylim()
        for step in panel.defaults["thresholds"]["steps"]:
            if step["value"] is not None and step["value"] <= high * 3:
                axes.axhline(step["value"], color=COLORS[step["color"]], linestyle="--", linewidth=0.8)
                high = max(high, step["value"] * 1.1)
        axes.set_ylim(low, high)
    _legend(axes)


def _tile(axes: Axes, panel: BoardPanel, answers: Answers) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    unit = panel.defaults.get("unit", "none")
    found = [(named(target, series), series) for target, all_series in answers for series in all_series]
    for place, (name, series) in enumerate(found):
        centre = (place + 0.5) / len(found)
        color = color_of(series.last, panel.defaults["thresholds"]) if place == 0 else COLORS["blue"]
        axes.axvspan(place / len(found), (place + 1) / len(found), color=color)
        axes.text(centre, 0.6, written(series.last, unit), ha="center", va="center", fontsize=17, color="white",
                  fontweight="bold", transform=axes.transAxes)  # fmt: skip
        if len(found) > 1:
            axes.text(
                centre, 0.9, name, ha="center", va="center", fontsize=SMALL, color="white", transform=axes.transAxes
            )
    values = np.array([value for _, value in found[0][1].samples])
    if len(values) > 1 and np.isfinite(values).any():
        high = float(np.nanmax(values)) or 1.0
        axes.fill_between(np.linspace(0, 1, len(values)), values / high * 0.35, color="white", alpha=0.35)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def _bars(axes: Axes, panel: BoardPanel, answers: Answers) -> None:
    ((target, found),) = answers
    unit = panel.defaults.get("unit", "none")
    ranked = sorted(found, key=lambda series: series.last)
    places = range(len(ranked))
    axes.barh(places, [series.last for series in ranked], color=COLORS["blue"])
    axes.set_yticks(places, [f"{named(target, s)}  {written(s.last, unit)}" for s in ranked], fontsize=TINY)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, unit)))
    axes.tick_params(axis="x", labelsize=TINY)


def _density(axes: Axes, panel: BoardPanel, answers: Answers) -> None:
    ((_, found),) = answers
    buckets = sorted(found, key=lambda series: float(series.labels["le"]))
    times = [time for time, _ in buckets[0].samples]
    cumulative = np.array([[dict(bucket.samples).get(time, math.nan) for time in times] for bucket in buckets])
    counts = np.diff(np.vstack([np.zeros(len(times)), cumulative]), axis=0)
    axes.pcolormesh(
        _days(times), range(len(buckets)), np.ma.masked_less_equal(counts, 0), cmap="Blues", shading="nearest"
    )
    unit = panel.model["options"]["yAxis"]["unit"]
    bounds = ["∞" if s.labels["le"] == "+Inf" else written(float(s.labels["le"]), unit) for s in buckets]
    every = max(1, len(bounds) // 8)
    _dress(axes, panel, unit)
    axes.set_yticks(range(len(bounds))[::every], bounds[::every], fontsize=TINY)
    axes.set_ylim(-0.5, len(bounds) - 0.5)


def _states(axes: Axes, panel: BoardPanel, answers: Answers) -> None:
    ((target, found),) = answers
    (mapping,) = panel.defaults["mappings"]
    for row, series in enumerate(found):
        first, second = _days([moment for moment, _ in (*series.samples, series.samples[-1])[:2]])
        step = second - first
        for state, course in itertools.groupby(zip(*_with_gaps(series.samples), strict=True), key=lambda pair: pair[1]):
            if math.isnan(state):
                continue
            moments = _days([moment for moment, _ in course])
            color = COLORS[mapping["options"][f"{state:.0f}"]["color"]]
            axes.barh(row, moments[-1] - moments[0] + step, left=moments[0], height=0.8, color=color)
    axes.set_yticks(range(len(found)), [named(target, series) for series in found], fontsize=TINY)
    _time_axis(axes)
    _legend(axes, [Patch(color=COLORS[state["color"]], label=state["text"]) for state in mapping["options"].values()])


def _table(axes: Axes, panel: BoardPanel, answers: Answers) -> None:
    axes.set_axis_off()
    organise = next(t["options"] for t in panel.model["transformations"] if t["id"] == "organize")
    order: dict[str, int] = organise["indexByName"]
    headers = {field: organise["renameByName"][field] for field in sorted(order, key=order.__getitem__)}
    looks = {o["matcher"]["options"]: {p["id"]: p["value"] for p in o["properties"]} for o in _overrides(panel)}
    text, colors = [], []
    for row in _joined(answers, list(headers)):
        cells = [_cell(row.get(field, ""), looks.get(header, {})) for field, header in headers.items()]
        text.append([cell for cell, _ in cells])
        colors.append([color for _, color in cells])
    drawn = axes.table(text, colLabels=list(headers.values()), loc="upper center", cellLoc="left", edges="horizontal")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(SMALL)
    drawn.scale(1, 1.5)
    for line, line_colors in enumerate(colors):
        for column, color in enumerate(line_colors):
            drawn[line + 1, column].get_text().set_color(color)


def _cell(value: str | float, look: dict[str, Any]) -> tuple[str, str]:
    """Text and colour."""
    if isinstance(value, str):
        return value, "black"
    return written(value, look.get("unit", "none")), color_of(
        value, look["thresholds"]
    ) if "thresholds" in look else "black"


def _joined(answers: Answers, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a table: Grafana's *merge*, on the labels that all queries share."""
    shared = set.intersection(*(set(series.labels) for _, found in answers for series in found))
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for target, found in answers:
        field = f"Value #{target.ref}" if f"Value #{target.ref}" in fields else "Value"
        for series in found:
            row = rows.setdefault(tuple(series.labels[name] for name in sorted(shared)), {})
            row |= {**series.labels, field: series.last}
    return [rows[key] for key in sorted(rows)]


def _overrides(panel: BoardPanel) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = panel.model["fieldConfig"].get("overrides", [])
    return found


def _override(panel: BoardPanel, name: str) -> str | None:
    for override in _overrides(panel):
        if re.search(override["matcher"]["options"].strip("/"), name):
            return COLORS[override["properties"][0]["value"]["fixedColor"]]
    return None


def _dress(axes: Axes, panel: BoardPanel, unit: str, logarithmic: bool = False) -> None:
    _time_axis(axes)
    axes.grid(alpha=0.25)
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    else:
        lowest, (_, high) = axes.dataLim.ymin, axes.get_ylim()
        soft = panel.defaults.get("custom", {}).get("axisSoftMin", 0)
        axes.set_ylim(min(soft, lowest) if math.isfinite(lowest) else soft, panel.defaults.get("max", high) * 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, unit)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.tick_params(labelsize=TINY)


def _legend(axes: Axes, handles: Sequence[Artist] | None = None) -> None:
    """Beneath the panel, as on the boards."""
    handles = handles or axes.get_legend_handles_labels()[0]
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    columns = max(1, min(len(handles), LEGEND_CHARACTERS // (longest + 6)))
    axes.legend(
        handles=handles, fontsize=TINY - 1, ncols=columns, columnspacing=1.0, handlelength=1.2, frameon=False,
        loc="upper left", bbox_to_anchor=(-0.02, -0.1), borderaxespad=0.0,
    )  # fmt: skip


def _with_gaps(course: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Times and values, with NaN where samples are missing: there is no line across a gap."""
    times: list[float] = []
    values: list[float] = []
    step_s = min((after - before for (before, _), (after, _) in itertools.pairwise(course)), default=0.0)
    for time, value in course:
        if times and time - times[-1] > 1.5 * step_s:
            times.append(times[-1] + step_s)
            values.append(math.nan)
        times.append(time)
        values.append(value)
    return times, values


def _time_axis(axes: Axes) -> None:
    locator = AutoDateLocator(minticks=2, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
    axes.tick_params(axis="x", labelsize=TINY)


def _days(times: Sequence[float]) -> list[float]:
    """Unix times as matplotlib's dates: days since 1970."""
    return [time / 86_400 for time in times]


def _finite(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else 0.0


DRAWERS: dict[str, Callable[[Axes, BoardPanel, Answers], None]] = {
    "timeseries": _lines,
    "stat": _tile,
    "bargauge": _bars,
    "heatmap": _density,
    "state-timeline": _states,
    "table": _table,
}
