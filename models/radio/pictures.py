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
    worth.set(title="mean error added when the cue is masked, m", xticks=place, xticklabels=labels, yscale="symlog")
    figure.legend(*weights.get_legend_handles_labels(), loc="outside lower center", ncols=len(CUES), frameon=False)
    figure.savefig(path, dpi=130)


def draw_cost(costs: dict[str, dict[str, Any]], path: Path) -> None:
    """Mean error on held-out trajectories against MFLOP a frame; the area of a dot is its parameters."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for number, (name, cost) in enumerate(costs.items()):
        colour = COLOURS[number % len(COLOURS)]
        axes.scatter(cost["mflop"], cost["mean_m"], s=20 + cost["parameters"] / 4e3, color=colour, alpha=0.7)
        axes.annotate(name, (cost["mflop"], cost["mean_m"]), xytext=(6, 4), textcoords="offset points", fontsize=8)
    axes.set(
        xscale="log", xlabel="MFLOP a frame", ylabel="mean error, held-out trajectories, all bands, m",
        title="accuracy against cost (area: parameters)",
    )  # fmt: skip
    axes.grid(alpha=0.3)
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
