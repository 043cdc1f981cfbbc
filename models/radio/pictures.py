"""Pictures of SCADF-MoE: `python -m models.radio.pictures` draws them into the artifact's folder.

`router.png`: how much each cue weighs at each carrier, in line of sight and out of it, beside what is lost
without it. `cost.png`: accuracy against cost, of the system and its baselines (see `models.radio.cost`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from numpy.typing import NDArray

from models.data.radio_batches import Radio
from models.data.raytraced.bands import BANDS
from models.radio.exported import ExportedRadio
from models.radio.predict import RadioModel, embed, single
from models.radio.table import SPLITS
from models.systems.scadf_run import load
from service.contract.labels import CUES

COLOURS = ("#2a6f97", "#e07a5f", "#81b29a", "#b5838d")


def router_figures(model: RadioModel, radio: Radio) -> dict[str, dict[str, dict[str, float]]]:
    """By carrier and path (`LoS`, `NLoS`): mean weight of each cue, and the mean error without it, m.

    An error without a cue says what the cue is worth to this model: it is asked again with that cue masked.
    """
    known = radio.frames.present & ~radio.frames.duplicate
    truth, los = radio.frames.position_m[:, :2], radio.frames.los
    whole = embed(model, radio)
    errors = {"all": _errors(model, radio, truth, None)}
    errors |= {cue: _errors(model, radio, truth, number) for number, cue in enumerate(CUES)}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for number, band in enumerate(radio.frames.bands):
        for name, rows in (("LoS", known & los), ("NLoS", known & ~los)):
            if not rows.any():
                continue
            weights = whole.weight[rows, number].mean(0)
            found.setdefault(band.name, {})[name] = {
                **{f"weight_{cue}": round(float(w), 4) for cue, w in zip(CUES, weights, strict=True)},
                **{f"error_without_{cue}_m": round(float(errors[cue][rows, number].mean()), 3) for cue in CUES},
                "error_m": round(float(errors["all"][rows, number].mean()), 3),
            }
    return found


def _errors(model: RadioModel, radio: Radio, truth: NDArray[np.float32], masked: int | None) -> NDArray[np.float64]:
    """Error of the single frames `[F, B]`, with one cue masked."""
    kept = np.ones((len(radio.frames), len(CUES)), np.float32)
    if masked is not None:
        kept[:, masked] = 0
    place = single(embed(model, radio, kept)).position_m
    return np.asarray(np.hypot(*np.moveaxis(place - truth[:, None], -1, 0)), np.float64)


def draw_router(figures: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Stacked weights, and bars of what is lost without each cue."""
    bars = [(band, name) for band in figures for name in figures[band]]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    weights, worth = figure.subplots(1, 2)
    bottom = np.zeros(len(bars))
    place = np.arange(len(bars))
    for number, (cue, colour) in enumerate(zip(CUES, COLOURS, strict=True)):
        values = np.array([figures[band][name][f"weight_{cue}"] for band, name in bars])
        weights.bar(place, values, bottom=bottom, color=colour, label=cue)
        for x, low, value in zip(place, bottom, values, strict=True):
            if value > 0.06:
                weights.text(x, low + value / 2, f"{value:.2f}", ha="center", va="center", color="white", fontsize=8)
        bottom += values
        lost = [figures[b][n][f"error_without_{cue}_m"] - figures[b][n]["error_m"] for b, n in bars]
        worth.bar(place + 0.2 * (number - 1.5), lost, 0.2, color=colour)
    labels = [f"{band}\n{name}" for band, name in bars]
    weights.set(title="weight of each cue, as routed", ylim=(0, 1), xticks=place, xticklabels=labels)
    worth.set(title="mean error added when the cue is masked, m", xticks=place, xticklabels=labels)
    figure.legend(*weights.get_legend_handles_labels(), loc="outside lower center", ncols=len(CUES), frameon=False)
    figure.savefig(path, dpi=130)


ABLATIONS = ("scadf-no-moe", "scadf-no-mmd", "scadf-hard")


def draw_cost(costs: dict[str, dict[str, Any]], path: Path) -> None:
    """Mean error on held-out trajectories against MFLOP and latency; the system's ablations cost what it costs."""
    shown = {name: cost for name, cost in costs.items() if name not in ABLATIONS}
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    labels = ("MFLOP a frame", "latency of 32 frames on two cores, ms")
    measures = [{name: cost["mflop"] for name, cost in shown.items()}]
    measures.append({name: cost["latency_ms"]["32"] for name, cost in shown.items()})
    for axes, label, measure in zip(panels, labels, measures, strict=True):
        for number, (name, cost) in enumerate(sorted(shown.items(), key=lambda item: -item[1]["mean_m"])):
            colour = COLOURS[0] if name.startswith("scadf-moe") else COLOURS[1]
            axes.scatter(measure[name], cost["mean_m"], s=cost["parameters"] / 1.5e4, color=colour, alpha=0.6)
            below = number % 2 == 0
            axes.annotate(
                name, (measure[name], cost["mean_m"]), xytext=(0, -9 if below else 9), textcoords="offset points",
                ha="center", va="top" if below else "bottom", fontsize=8,
            )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel=label, xlim=(min(measure.values()) / 2, max(measure.values()) * 2))
        axes.set_ylim(6, 16)
        axes.grid(alpha=0.3, which="both")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())
    panels[0].set_yticks([6, 7, 8, 10, 12, 14])
    panels[0].set_ylabel("mean error, held-out trajectories, m")
    figure.suptitle("accuracy against cost (area: parameters)")
    figure.savefig(path, dpi=130)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.radio.pictures", description=__doc__)
    parser.add_argument("--set", type=Path, default=Path("data/full"), help="folder of the set (default %(default)s)")
    parser.add_argument("--artifact", type=Path, default=Path("models/zoo/scadf-moe"), help="(default %(default)s)")
    args = parser.parse_args(argv)
    try:
        test = load(args.set, SPLITS[0], "test", tuple(band.name for band in BANDS), quiet=False)
        costs = json.loads((args.artifact / "cost.json").read_text())
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    figures = router_figures(ExportedRadio(args.artifact), test)
    (args.artifact / "router.json").write_text(json.dumps(figures, indent=1) + "\n")
    draw_router(figures, args.artifact / "router.png")
    draw_cost(costs["rows"], args.artifact / "cost.png")
    print(f"wrote router.json, router.png and cost.png into {args.artifact}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
