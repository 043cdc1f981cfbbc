"""The card of a radio artifact, written from manifest, table and costs: `python -m models.radio.card`.

No figure in it was typed by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, cast

from models.data.raytraced.bands import BANDS
from models.metrics import Figures
from models.radio.rows import EPOCHS, TRAINED
from models.radio.table import SPLITS, Table, markdown
from service.contract.labels import CUES
from service.contract.manifest import Manifest

_INTENT = """\
Locates user terminals around the base stations named below from the radio frames of up to 16 instants, at 2.6, 6 and
28 GHz, and tells line of sight from blockage. One model serves all sites and carriers: both are inputs, which scale and
shift the encoder's features (FiLM), so nothing has to be chosen or loaded for a frame, and what the sites share is
learned once. It was trained on exactly these sites; on others its positions mean nothing, and the out-of-distribution
flag is there to say so. Every figure is of ray-traced data; none was measured on the air.
"""
_ROWS = """\
*scadf-moe*: the system, asked for the newest of up to 16 vertices; *T=n*: the same weights, shorter histories.
*scadf-single*: trained on single frames. *kalman-smoother*: constant velocity over the single-point estimates, tuned on
validation. *knn*, *weighted-knn*: a fingerprint map for each site and band, tuned on validation. *only-X*: a model for
one band; *without-X*: never trained on X, tested on it. All networks had the same epochs, schedule and batch.
"""
_LIMITS = """\
- Out of line of sight the error has a long tail: where the signal is near the noise floor, the frame says little.
- Regions are split-conformal on validation episodes of the trained zones. In unseen zones they cover less than they
  say; the tables give by how much.
- Positions are in the plane; the height of a UE is not estimated.
- The distance is a round trip measured by the network, in steps of 0.31 m. It may be missing, as any cue may: each was
  hidden at times in training, and the router's table says what its loss costs.
- Vertices of a trajectory come at 10 Hz in training; gaps are an input, but gaps of many seconds were not seen.
"""


def write_card(folder: Path) -> None:
    """Write `card.md` into an artifact's folder."""
    manifest = Manifest.load(folder)
    table, costs, router = (json.loads((folder / f"{name}.json").read_text()) for name in ("table", "cost", "router"))
    size = sum((folder / f"{name}.onnx").stat().st_size for name in manifest.files) / 1e6
    parity = cast(dict[str, float], manifest.metrics["parity"])
    parts = [
        f"# {manifest.name} {manifest.version}\n",
        _INTENT,
        "Sites: " + ", ".join(site.name for site in manifest.sites) + ".\n",
        "## Against the goals\n",
        "| goal | measured |\n|---|---|",
        *(f"| {goal} | {measured} |" for goal, measured in _goals(table)),
        "\n## The shipped weights (the first seed), layout by layout\n",
        _cells(manifest),
        "\n`python -m models.radio.evaluate` measures these on the exported graphs.\n",
        "## Beside the baselines, over seeds\n",
        _ROWS,
        *(markdown(table, split) + "\n" for split in SPLITS),
        "`python -m models.radio.train_rows` trains the rows, `python -m models.radio.table` evaluates and prints them;"
        f" every run had {EPOCHS} epochs. Rows by command:\n",
        *(f"- `python -m models.train {' '.join(_quoted(row.command(0, EPOCHS)))}`: {row.about}" for row in TRAINED),
        "\n## What the router listens to\n",
        _router(router),
        "\n![Weights of the cues by carrier, and what is lost without each](router.png)\n",
        "## Cost\n",
        _costs(costs),
        "\n![Accuracy against cost](cost.png)\n",
        "## Training data\n",
        *(f"- {d['name']}: {d['licence']}. {d['source']}" for d in manifest.training_data),
        "\nSplit by whole episodes; chosen and calibrated on validation, reported on test once.\n",
        "## Limits\n",
        _LIMITS,
        "## Form\n",
        f"Two ONNX graphs (opset {manifest.opset}, {manifest.precision}, {size:.1f} MB), contract *{manifest.contract}*"
        f" {manifest.fingerprint}; largest gap to torch {max(parity.values()):.1e} over batch sizes, masks and T from 1"
        f" to 16. Commit {manifest.commit[:12]}.\n",
    ]
    (folder / "card.md").write_text("\n".join(parts))


def _goals(table: Table) -> list[tuple[str, str]]:
    """The goals of the system and what the seeds measured."""
    first = SPLITS[0]
    cells = [cell for cell in next(iter(table["scadf-moe"].values()))[first] if not cell.startswith("all/")]
    mse = {cell: _mean(table, "scadf-moe", first, cell, "position_mse_m2") for cell in cells}
    los = {cell: _mean(table, "scadf-moe", first, cell, "los_position_mse_m2") for cell in cells}
    nlos = {
        name: _mean(table, name, SPLITS[2], "all/all", "nlos_position_mean_m") for name in table if _whole(table, name)
    }
    ours = nlos.pop("scadf-moe")
    classical = {name: nlos[name] for name in ("knn", "weighted-knn") if name in nlos}
    best = min((n for n in nlos if not n.startswith("scadf")), key=lambda n: nlos[n])
    gain = {T: _mean(table, name, first, "all/all", "position_mean_m") for T, name in _LENGTHS.items() if name in table}
    single = _mean(table, "scadf-single", first, "all/all", "position_mean_m")
    third = [
        f"{row.bands[0]}: {_mean(table, row.name, first, f'all/{row.bands[0]}', 'position_mean_m'):.1f} m against "
        f"{_mean(table, 'scadf-moe', first, f'all/{row.bands[0]}', 'position_mean_m'):.1f} m"
        for row in TRAINED
        if row.name.startswith("without-") and row.name in table
    ]
    return [
        (
            "MSE < 1 m² on held-out trajectories in all nine cells",
            f"{'met' if max(mse.values()) < 1 else 'not met'}: {sum(v < 1 for v in mse.values())} of {len(mse)} cells, "
            f"{min(mse.values()):.1f} to {max(mse.values()):.1f} m²; in line of sight alone {min(los.values()):.1f} to "
            f"{max(los.values()):.1f} m²",
        ),
        (
            "unseen NLoS: mean error at most half of the best baseline's",
            f"{'met' if 2 * ours <= nlos[best] else 'not met'}: {ours:.1f} m against {nlos[best]:.1f} m of {best}"
            f" ({', '.join(f'{v:.1f} m of {n}' for n, v in classical.items())})",
        ),
        ("trained on two bands, tested on the third (mean error)", "; ".join(third) or "not measured"),
        (
            "gain of a trajectory (mean error, held-out trajectories)",
            ", ".join(f"T={T}: {v:.2f} m" for T, v in gain.items()) + f"; trained on single frames: {single:.2f} m",
        ),
    ]


_LENGTHS = {1: "scadf-moe T=1", 2: "scadf-moe T=2", 4: "scadf-moe T=4", 8: "scadf-moe T=8", 16: "scadf-moe"}


def _whole(table: Table, name: str) -> bool:
    return all("all/all" in splits[SPLITS[2]] and _at_every_band(splits[SPLITS[2]]) for splits in table[name].values())


def _at_every_band(cells: dict[str, Figures]) -> bool:
    return all(f"all/{band.name}" in cells for band in BANDS)


def _mean(table: Table, name: str, split: str, cell: str, figure: str) -> float:
    values = [splits[split][cell][figure] for splits in table[name].values()]
    return sum(values) / len(values)


def _cells(manifest: Manifest) -> str:
    keys = (
        ("position_mean_m", 2), ("position_median_m", 2), ("position_p90_m", 1), ("position_p95_m", 1),
        ("position_mse_m2", 0), ("region_90_coverage", 3),
    )  # fmt: skip
    lines = ["| split | layout, band | mean m | median m | p90 m | p95 m | MSE m² | cover 90 % |", "|---" * 8 + "|"]
    for split in SPLITS:
        for cell, figures in cast(dict[str, Figures], manifest.metrics[split]).items():
            values = " | ".join(f"{figures[key]:.{digits}f}" for key, digits in keys)
            lines.append(f"| {split} | {cell.replace('/', ', ')} | {values} |")
    return "\n".join(lines)


def _router(router: dict[str, Any]) -> str:
    lines = [
        "Mean weight, and in brackets the mean error of the same model, asked with that cue masked (single frames).\n",
        "| carrier | path | " + " | ".join(CUES) + " | error with all, m |", "|---" * (len(CUES) + 3) + "|",
    ]  # fmt: skip
    agree, total = 0, 0
    for band, paths in router.items():
        for path, f in paths.items():
            cells = [f"{f[f'weight_{cue}']:.2f} ({f[f'error_without_{cue}_m']:.1f})" for cue in CUES]
            lines.append(f"| {band} | {path} | " + " | ".join(cells) + f" | {f['error_m']:.2f} |")
            leads = max(CUES, key=lambda cue: f[f"weight_{cue}"])
            agree += leads == max(CUES, key=lambda cue: f[f"error_without_{cue}_m"])
            total += 1
    lines.append(f"\nThe cue with the largest weight is the one whose loss costs most in {agree} of {total} rows.")
    return "\n".join(lines)


def _costs(costs: dict[str, Any]) -> str:
    batches = list(next(iter(costs["rows"].values()))["latency_ms"])
    lines = [
        f"ONNX Runtime, {costs['machine']['cores']} cores of {costs['machine']['cpu']}, B frames encoded and fused.\n",
        "| row | parameters | MFLOP a frame | " + " | ".join(f"B={b}, ms" for b in batches) + " | mean error m |",
        "|---" * (4 + len(batches)) + "|",
    ]
    for name, cost in costs["rows"].items():
        times = " | ".join(f"{cost['latency_ms'][b]:.2f}" for b in batches)
        lines.append(f"| {name} | {cost['parameters']:,} | {cost['mflop']:.1f} | {times} | {cost['mean_m']:.2f} |")
    return "\n".join(lines)


def _quoted(arguments: list[str]) -> list[str]:
    return [f'"{argument}"' if " " in argument else argument for argument in arguments]


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.radio.card", description=__doc__)
    parser.add_argument("--artifact", type=Path, default=Path("models/zoo/scadf-moe"), help="(default %(default)s)")
    args = parser.parse_args(argv)
    try:
        write_card(args.artifact)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"wrote {args.artifact}/card.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
