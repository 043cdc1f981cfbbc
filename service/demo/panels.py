"""The small charts beside the map: how large the errors are, what the fusion listened to, which activities it told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from service.contract.labels import ACTIVITIES, MODALITIES
from service.demo.outcome import Outcome

INK, GREY = "#22272e", "#5c6470"
LOS_MARKERS = {True: "o", False: "D"}
LOS_NAMES = {True: "line of sight", False: "no line of sight"}
LOS_COLOURS = {True: "#0a6c8e", False: "#d9485f"}


def draw_error_curve(axes: Axes, placed: Sequence[Outcome]) -> None:
    """Cumulative share of the frames by position error, apart for frames with and without a line of sight."""
    for los, name in LOS_NAMES.items():
        errors_m = np.sort([o.error_m for o in placed if o.truth.los is los and o.error_m is not None])
        if errors_m.size:
            share = np.arange(1, errors_m.size + 1) / errors_m.size
            axes.step(errors_m, 100 * share, where="post", color=LOS_COLOURS[los], linewidth=2, label=name)
    everything = [o.error_m or 0.0 for o in placed]
    axes.axvline(float(np.median(everything)), color=GREY, linewidth=0.9, linestyle=":")
    axes.set_xlim(0, 1.15 * float(np.percentile(everything, 98)) + 0.5)
    axes.set_ylim(0, 102)
    axes.set_xlabel("position error, m", color=GREY)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9, frameon=False, loc="lower right", labelcolor=INK)
    _frame(axes, "Share of frames below an error, %")


def draw_weights(axes: Axes, placed: Sequence[Outcome]) -> None:
    """Mean weight of each modality or cue in the fusion, apart for frames with and without a line of sight."""
    groups = [los for los in LOS_NAMES if any(o.truth.los is los and o.weights for o in placed)]
    names = list(dict.fromkeys(name for o in placed for name in o.weights)) or list(MODALITIES)
    width = 0.8 / max(1, len(groups))
    for column, los in enumerate(groups):
        weights = [[o.weights.get(name, 0.0) for name in names] for o in placed if o.truth.los is los and o.weights]
        where = np.arange(len(names)) + (column - (len(groups) - 1) / 2) * width
        axes.bar(
            where, 100 * np.mean(weights, axis=0), width=0.92 * width, color=LOS_COLOURS[los], label=LOS_NAMES[los]
        )
    axes.set_xticks(range(len(names)), names)
    _frame(axes, "What the fusion listened to, %")


def draw_activities(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """How often each true activity, a row, was told as each, a column."""
    counts = np.zeros((len(ACTIVITIES), len(ACTIVITIES)), int)
    for outcome in outcomes:
        if outcome.activity in ACTIVITIES and outcome.truth.activity in ACTIVITIES:
            counts[ACTIVITIES.index(outcome.truth.activity), ACTIVITIES.index(outcome.activity)] += 1
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, str(count), ha="center", va="center", fontsize=9, color=colour)
    axes.set_xticks(range(len(ACTIVITIES)), ACTIVITIES)
    axes.set_yticks(range(len(ACTIVITIES)), ACTIVITIES)
    axes.set_xlabel("told", color=GREY)
    axes.set_ylabel("true", color=GREY)
    right = np.trace(counts) / max(1, counts.sum())
    _frame(axes, f"Activities, {100 * right:.1f} % right")
    axes.grid(visible=False)


def _frame(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10.5, weight="bold", color=INK, pad=8)
    axes.tick_params(colors=GREY, length=0, labelsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c8ccd2")
    axes.grid(axis="y", color="#eceef1", linewidth=0.8)
    axes.set_axisbelow(True)
