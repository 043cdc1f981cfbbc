"""Draw the boards without Grafana: `python -m deploy.grafana.draw --prometheus URL --out FOLDER`.

Asks a running Prometheus what the panels ask, and draws one PNG a board: to look at, and for the README.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from deploy.grafana.generate import FOLDER
from deploy.grafana.pictures import SMALL, Answers, draw
from deploy.grafana.reading import BoardPanel, chosen, fill, read_board
from deploy.grafana.source import Source

SERVED = "cellsense_artifact_info"  # whose sites the boards' variable has
SAMPLES = 120  # across the time that is shown
SCRAPE_S = 5.0  # that of deploy/prometheus/prometheus.yml, below which Grafana does not go with the intervals of rates
COLUMN_IN, ROW_IN = 0.72, 0.38  # inches of a cell of Grafana's grid
DPI = 80
PICTURE_COLORS = 256  # a third of the bytes of all; by octree, which keeps the few red ones


def main() -> None:
    """Draw every board."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prometheus", metavar="URL", default="http://127.0.0.1:9090", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=Path(), help="where the PNGs go")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the time that is shown (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with Source(arguments.prometheus) as source:
        for file in sorted(FOLDER.glob("*.json")):
            out = arguments.out / f"{file.stem}.png"
            draw_board(source, file, out, 60 * arguments.minutes, time.time())
            sys.stdout.write(f"Written: {out}\n")


def draw_board(source: Source, file: Path, out: Path, window_s: float, end_s: float) -> None:
    """One board, over the last `window_s` seconds before `end_s`, into a PNG."""
    panels, sites = read_board(file), source.get("label/site/values", **{"match[]": SERVED})
    bottom = max(panel.place[1] + panel.place[3] for panel in panels)
    figure = plt.figure(figsize=(24 * COLUMN_IN, bottom * ROW_IN), dpi=DPI)
    for panel in panels:
        if panel.kind == "row":
            _, row, _, _ = panel.place
            figure.text(0.012, 1 - (row + 0.75) / bottom, panel.title, fontsize=SMALL + 4, fontweight="bold")
            continue
        for title, place, of_sites in _repeated(panel, sites):
            answers = ask(source, panel, window_s, end_s, of_sites)
            draw(figure.add_axes(_frame(figure, place, bottom, panel.kind)), panel, title, answers)
    drawn = io.BytesIO()
    figure.savefig(drawn, facecolor="white")
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(PICTURE_COLORS, Image.Quantize.FASTOCTREE).save(out, optimize=True)


def ask(source: Source, panel: BoardPanel, window_s: float, end_s: float, sites: Sequence[str]) -> Answers:
    """What Prometheus answers to each query of a panel."""
    step_s = max(window_s / SAMPLES, 1.0)
    values = chosen(window_s, max(step_s, SCRAPE_S), site="|".join(sites))
    return [
        (
            target,
            source.at(fill(target.expr, values), end_s)
            if target.instant
            else source.over(fill(target.expr, values), end_s - window_s, end_s, step_s),
        )
        for target in panel.targets
    ]


Place = tuple[float, float, float, float]
"""Column, row, width and height on Grafana's grid."""


def _repeated(panel: BoardPanel, sites: Sequence[str]) -> Iterator[tuple[str, Place, Sequence[str]]]:
    """Title, place and sites of a panel, or of its copy for each site where it is repeated."""
    if not panel.model.get("repeat"):
        yield panel.title, panel.place, sites
        return
    column, row, width, height = panel.place
    shown = sites[: panel.model["maxPerRow"]]
    part = width / len(shown)
    for copy, site in enumerate(shown):
        yield fill(panel.title, {"site": site}), (column + copy * part, row, part, height), [site]


def _frame(figure: Figure, place: Place, bottom: int, kind: str) -> tuple[float, float, float, float]:
    """The place of the axes, with room for a heading and for the scales."""
    column, row, width, height = place
    wide_in, high_in = figure.get_size_inches()
    left = {"stat": 0.12, "table": 0.12, "bargauge": 1.35, "state-timeline": 1.1}.get(kind, 0.75)
    below = {"stat": 0.08, "table": 0.05, "bargauge": 0.25, "heatmap": 0.25}.get(kind, 0.6)
    return (
        (column * COLUMN_IN + left) / wide_in,
        ((bottom - row - height) * ROW_IN + below) / high_in,
        (width * COLUMN_IN - left - 0.1) / wide_in,
        (height * ROW_IN - below - 0.3) / high_in,
    )


if __name__ == "__main__":
    main()
