"""The table of SCADF-MoE and its baselines: `python -m models.radio.table`.

Every finished run (see `models.radio.train_rows`) is calibrated on validation and asked once for every test part; kNN
fingerprinting and the Kalman smoother over the single-point runs are tuned on validation. All figures are kept in
`<out>/table.json`; what is there is not evaluated again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models.baselines import kalman, radio_knn
from models.data.radio_batches import Radio
from models.data.raytraced.bands import BANDS
from models.metrics import Figures
from models.radio.predict import RadioEmbeddings, RadioPredictions, embed, figures, fuse, region_quantiles
from models.radio.rows import TRAINED, Trained
from models.systems.scadf_moe import Design, ScadfMoe
from models.systems.scadf_run import load

SPLITS = ("held-out-trajectories", "unseen-region", "unseen-nlos")
Table = dict[str, dict[str, dict[str, dict[str, Figures]]]]  # row -> seed -> split -> layout/band -> figures
Answer = Callable[[Radio], RadioPredictions]


def load_run(folder: Path) -> tuple[ScadfMoe, dict[str, object]]:
    """A finished run's averaged model and its settings."""
    config = json.loads((folder / "config.json").read_text())
    state = torch.load(folder / "model.pt", weights_only=True)
    design = Design(tuple(config["cues"]), config["routing"], layers=config["layers"])
    model = ScadfMoe(design, len(state["encoder.site.weight"]) - 1)
    model.load_state_dict(state)
    return model.eval(), config


def load_data(folder: Path, bands: tuple[str, ...], quiet: bool) -> dict[str, Radio]:
    """The validation part and the test part of every split, by name (`"val"`, or that of the split)."""
    parts = {"val": (SPLITS[0], "val")} | {split: (split, "test") for split in SPLITS}
    return {name: load(folder, *place, bands, quiet) for name, place in parts.items()}


def measure(answer: Answer, data: dict[str, Radio], calibrate_on: Radio | None = None) -> dict[str, dict[str, Figures]]:
    """Figures of each split by layout and band.

    Args:
        answer: what is measured.
        data: as `load_data` gives it.
        calibrate_on: a validation part at other bands, where those of `data` must not be known.
    """
    if calibrate_on is None:
        quantiles = region_quantiles(answer(data["val"]), data["val"])
    else:  # the most cautious of the known bands
        known = region_quantiles(answer(calibrate_on), calibrate_on)
        largest = {level: max(each[level] for each in known) for level in known[0]}
        quantiles = [largest] * len(data["val"].frames.bands)
    return {split: figures(answer(data[split]), data[split], quantiles) for split in SPLITS}


def trained_rows(row: Trained, folder: Path, every: dict[str, Radio]) -> dict[str, dict[str, dict[str, Figures]]]:
    """The rows that one run gives, by name: at each T, and under the smoother where it is the single-point run."""
    model, config = load_run(folder)
    data = {name: at_bands(radio, row.bands) for name, radio in every.items()}
    trained_at = tuple(str(band) for band in config["bands"])  # type: ignore[attr-defined]
    known = None if set(row.bands) <= set(trained_at) else at_bands(every["val"], trained_at)
    parts = {id(radio): radio for radio in (*data.values(), *([known] if known else []))}
    embedded: dict[int, RadioEmbeddings] = {key: embed(model, radio) for key, radio in parts.items()}
    found = {}
    for length in row.lengths:

        def answer(radio: Radio, length: int = length) -> RadioPredictions:
            return fuse(model, radio, embedded[id(radio)], length)

        name = row.name if length == row.lengths[0] else f"{row.name} T={length}"
        found[name] = measure(answer, data, known)
        if row.name == "scadf-single":
            tuning = kalman.tune(answer(data["val"]), data["val"])
            found["kalman-smoother"] = measure(
                lambda radio, answer=answer, tuning=tuning: kalman.over(answer(radio), radio, tuning), data
            )
    return found


def at_bands(radio: Radio, names: tuple[str, ...]) -> Radio:
    """The same frames at some of their bands."""
    return radio.at_bands([[band.name for band in radio.frames.bands].index(name) for name in names])


def knn_rows(train: Radio, data: dict[str, Radio]) -> dict[str, dict[str, dict[str, Figures]]]:
    """The rows of kNN and of weighted kNN, each tuned on validation."""
    maps = {kind: radio_knn.RadioMap(train, kind) for kind in ("cues", "image")}
    found = {}
    for name, weighted in (("knn", False), ("weighted-knn", True)):
        settings = radio_knn.tune(maps, train, data["val"], [s for s in radio_knn.SETTINGS if s.weighted == weighted])
        print(f"{name}: best on validation {settings}", file=sys.stderr)
        found[name] = measure(lambda radio, s=settings: radio_knn.answer(maps, s, train, radio), data)
    return found


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    torch.set_num_threads(args.threads)
    path = args.out / "table.json"
    table: Table = json.loads(path.read_text()) if path.exists() else {}
    finished = [
        (row, folder.name.rpartition("seed")[2], folder)
        for row in TRAINED
        for folder in sorted(args.runs.glob(f"{row.name}-seed*"))
        if (folder / "model.pt").exists()
    ]
    missing = [(row, seed, folder) for row, seed, folder in finished if seed not in table.get(row.name, {})]
    names = tuple(band.name for band in BANDS)
    try:
        if missing or "knn" not in table:
            data = load_data(args.set, names, args.json)
        if "knn" not in table:
            train = load(args.set, SPLITS[0], "train", names, args.json)
            _add(table, knn_rows(train, data), "0", path)
            del train
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for row, seed, folder in tqdm(missing, desc="evaluate", unit="run", disable=args.json):
        _add(table, trained_rows(row, folder, data), seed, path)
    print(json.dumps(table) if args.json else "\n\n".join(markdown(table, split) for split in SPLITS))
    return 0


COLUMNS = (
    ("position_mean_m", "mean m", 2), ("position_median_m", "median m", 2), ("position_p90_m", "p90 m", 1),
    ("position_p95_m", "p95 m", 1), ("position_mse_m2", "MSE m²", 0), ("region_90_coverage", "cover 90 %", 3),
    ("los_position_mean_m", "LoS mean m", 2), ("nlos_position_mean_m", "NLoS mean m", 2),
)  # fmt: skip


def markdown(table: Table, split: str, cells: tuple[str, ...] | None = None) -> str:
    """One split in Markdown: a line for each row and band (or each of `cells`), mean ± deviation over the seeds."""
    lines = [
        f"| {split} | band | seeds | " + " | ".join(label for _, label, _ in COLUMNS) + " |",
        "|---" * (3 + len(COLUMNS)) + "|",
    ]
    order = {row.name: number for number, row in enumerate(TRAINED)}
    for name in sorted(table, key=lambda name: (order.get(name.split(" ")[0], len(order)), len(name), name)):
        seeds = [by_split[split] for by_split in table[name].values()]
        for cell in cells or tuple(f"all/{band.name}" for band in BANDS):
            known = [figures[cell] for figures in seeds if cell in figures]
            if known:
                values = [_spread([f[key] for f in known if key in f], digits) for key, _, digits in COLUMNS]
                lines.append(f"| {name} | {cell.removeprefix('all/')} | {len(known)} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def _spread(values: list[float], digits: int) -> str:
    if not values:
        return "–"
    shown = f"{np.mean(values):.{digits}f}"
    return shown + (f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else "")


def _add(table: Table, rows: dict[str, dict[str, dict[str, Figures]]], seed: str, path: Path) -> None:
    for name, splits in rows.items():
        table.setdefault(name, {})[seed] = {
            split: {cell: {k: round(v, 4) for k, v in found.items()} for cell, found in cells.items()}
            for split, cells in splits.items()
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(table, indent=None, separators=(",", ":"), sort_keys=True) + "\n")
    temporary.replace(path)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.radio.table", description=__doc__)
    parser.add_argument("--set", type=Path, default=Path("data/full"), help="folder of the set (default %(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="(default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("models/zoo/scadf-moe"), help="(default %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="the table as JSON, no progress bar")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
