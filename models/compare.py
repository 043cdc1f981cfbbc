"""The table: every run and baseline, calibrated on validation and reported on test: `python -m models.compare`.

Reads the finished runs of each system (`runs/<name>-seed<n>`) on the site and band asked for, adds kNN fingerprinting
and ExtraTrees, prints mean and standard deviation over the seeds, and keeps every figure in `<out>/table.json`. Nothing
is evaluated twice.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score
from tqdm import tqdm

from models.baselines import knn, trees
from models.data import raytraced_set
from models.data.measured import radhar
from models.evaluation import Data, fit_calibration, fit_novelty, measure
from models.metrics import Figures, activity_figures, position_figures
from models.systems.gated_fusion import GatedFusion

SHOWN = (
    ("position_median_m", "median m"), ("position_mean_m", "mean m"), ("position_p95_m", "p95 m"),
    ("position_mse_m2", "MSE m²"), ("nlos_position_mean_m", "NLoS mean m"), ("region_90_coverage", "cover 90 %"),
    ("los_balanced_accuracy", "LoS bal. acc."), ("los_ece", "LoS ECE"),
)  # fmt: skip
Table = dict[str, dict[str, dict[str, dict[str, float]]]]  # row -> seed -> split -> figure


def load_run(folder: Path) -> tuple[GatedFusion, tuple[str, ...]]:
    """A finished run's averaged model and the modalities that it was trained on."""
    config = json.loads((folder / "config.json").read_text())
    model = GatedFusion()
    model.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    return model.eval(), tuple(config["modalities"])


def saw_people(folder: Path) -> bool:
    """Whether a run was trained on RadHAR, so that its activities mean anything."""
    last = (folder / "log.jsonl").read_text().splitlines()[-1]
    return "activity" in json.loads(last)["loss"]


def finished(runs: Path, site: str, band: str) -> list[tuple[str, str, Path]]:
    """(name, seed, folder) of every finished run that was trained on this site and band."""
    found = []
    for folder in sorted(runs.glob("*-seed*")):
        match = re.fullmatch(r"(.+)-seed(\d+)", folder.name)
        if match and (folder / "model.pt").exists():
            config = json.loads((folder / "config.json").read_text())
            if (config.get("site"), config.get("band")) == (site, band):
                found.append((match[1], match[2], folder))
            else:
                print(f"{folder}: left out, it was not trained on {site} at {band}", file=sys.stderr)
    return found


def knn_figures(data: Data) -> dict[str, dict[str, float]]:
    """The kNN row: tuned on validation, one test."""
    parts = {part: knn.fingerprints(data.scene[part]) for part in ("train", "val", "test")}
    result = knn.evaluate(parts["train"], parts["val"], parts["test"])
    test = parts["test"]
    figures = position_figures(result.position_m, test.position_m)
    figures["nlos_position_mean_m"] = float(np.hypot(*(result.position_m - test.position_m)[~test.los].T).mean())
    figures["los_balanced_accuracy"] = float(balanced_accuracy_score(test.los, result.los))
    print(f"kNN: best on validation {result.setting}, mean {result.validation_mean_m:.2f} m", file=sys.stderr)
    return {"single frames": figures}


def trees_figures(data: Data, seed: int) -> dict[str, Figures]:
    """The ExtraTrees row, on RadHAR alone."""
    truth = np.concatenate([np.full(r.windows, r.activity) for r in data.people["test"]])
    return {"radhar windows": activity_figures(trees.evaluate(data.people, seed), truth)}


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    path = args.out / "table.json"
    table: Table = json.loads(path.read_text()) if path.exists() and not args.again else {}
    runs = [(n, s, f) for n, s, f in finished(args.runs, args.site, args.band) if s not in table.get(n, {})]
    wanted = {"kNN"} | ({"ExtraTrees"} if args.radhar else set())
    if runs or wanted - set(table):
        quiet = args.json
        try:
            scene = raytraced_set.load_parts(args, ("train", "val", "test"), quiet)
            data = Data(scene, radhar.by_part(args.radhar))
        except (FileNotFoundError, ValueError) as error:
            print(error, file=sys.stderr)
            return 2
        if "kNN" not in table:
            table["kNN"] = {"0": knn_figures(data)}
        if "ExtraTrees" in wanted - set(table):
            table["ExtraTrees"] = {str(seed): trees_figures(data, seed) for seed in range(3)}
        _save(table, args.out)
        for name, seed, folder in tqdm(runs, desc="evaluate", unit="run", disable=quiet):
            model, modalities = load_run(folder)
            seen = data if saw_people(folder) else Data(data.scene, radhar.by_part(None))
            fit_novelty(model, seen, modalities)
            table.setdefault(name, {})[seed] = measure(
                model, fit_calibration(model, seen, modalities), seen, modalities
            )
            _save(table, args.out)
    print(json.dumps(table) if args.json else markdown(table))
    return 0


def markdown(table: Table) -> str:
    """The table in Markdown: a row for each system and split, mean ± standard deviation over seeds."""
    lines = [
        "| system | split | seeds | " + " | ".join(label for _, label in SHOWN) + " |",
        "|---" * (3 + len(SHOWN)) + "|",
    ]
    people: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name in sorted(table):
        splits: dict[str, list[dict[str, float]]] = defaultdict(list)
        for seed in table[name].values():
            for split, figures in seed.items():
                splits[split].append(figures)
        for split, seeds in splits.items():
            if "position_median_m" in seeds[0]:
                cells = [_spread([s[key] for s in seeds if key in s]) for key, _ in SHOWN]
                lines.append(f"| {name} | {split} | {len(seeds)} | " + " | ".join(cells) + " |")
            elif "activity_accuracy" in seeds[0]:
                people.setdefault(name, {})[split] = seeds
    if people:
        lines += ["", "| system | split | seeds | accuracy | macro-F1 | ECE |", "|---|---|---|---|---|---|"]
        for name, by_split in people.items():
            for split, seeds in by_split.items():
                cells = [
                    _spread([s[k] for s in seeds], 4)
                    for k in ("activity_accuracy", "activity_macro_f1", "activity_ece")
                ]
                lines.append(f"| {name} | {split} | {len(seeds)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _save(table: Table, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.json").write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")


def _spread(values: list[float], digits: int = 3) -> str:
    if not values:
        return "–"
    shown = f"{np.mean(values):.{digits}f}"
    return shown + (f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else "")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.compare", description=__doc__)
    raytraced_set.add_arguments(parser)
    parser.add_argument("--radhar", type=Path, help="folder of the RadHAR set")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("models/zoo/gated-fusion"))
    parser.add_argument("--again", action="store_true", help="evaluate every run anew")
    parser.add_argument("--json", action="store_true", help="the table as JSON, no progress bar")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
