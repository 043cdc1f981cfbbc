"""Memory over time as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.bench.serving.process_tree import Memory
from tests.bench.soak.growth import Growth

_RSS, _OWN, _INK, _FAINT = "#94a3b8", "#c2410c", "#1f2937", "#e2e8f0"


def draw(path: Path, times_s: Sequence[float], memory: Sequence[Memory], line: Growth, note: str) -> None:
    """Write a PNG: memory of all processes together, and the line that tells whether it grows."""
    minutes = [time / 60 for time in times_s]
    with mpl.rc_context({"font.size": 10, "text.color": _INK, "axes.labelcolor": _INK}):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(minutes, [one.rss_mib for one in memory], color=_RSS, lw=1.2, label="RSS, with libraries")
        axes.plot(minutes, [one.own_mib for one in memory], color=_OWN, lw=1.2, label="backed by no file")
        ends = (line.start_mib, line.start_mib + line.rise_mib)
        label = f"{line.mib_per_minute:+.2f} MiB a minute: {'flat' if line.flat else 'growing'}"
        axes.plot([line.from_s / 60, line.to_s / 60], ends, color=_INK, lw=1.5, ls="--", label=label)
        axes.set_ylim(0, 1.1 * max(one.rss_mib for one in memory))
        axes.set_xlabel("minutes under load")
        axes.set_title("Memory of all processes, MiB", loc="left")
        axes.grid(axis="y", color=_FAINT)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False)
        figure.supxlabel(note, fontsize=8, color=_RSS, x=0.01, ha="left")
        figure.savefig(path, dpi=150)
