"""What an answer costs: `python -m models.radio.cost` writes `cost.json` into the artifact's folder.

For the system, its 8-bit variant and the baselines: parameters (of kNN, the numbers in its maps), MFLOP a frame (two a
multiply-add; networks counted by torch, the classical ones by hand), and the latency of answering B frames, graphs
by ONNX Runtime with all cores, median of interleaved rounds, so that all are compared under the same load. Features and
normalised inputs are there before the clock starts. The errors are those of `table.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.baselines import kalman
from models.baselines.radio_knn import RadioMap
from models.data.provenance import machine
from models.data.raytraced.bands import BANDS
from models.novelty import Novelty
from models.radio.export import export_graphs
from models.radio.exported import ExportedRadio
from models.radio.graphs import modules, random_inputs
from models.radio.rows import TRAINED
from models.radio.table import SPLITS, load_run
from models.systems.scadf_moe import ScadfMoe
from models.systems.scadf_run import load
from service.contract.tensors import RADIO_STEPS

BATCHES = (1, 8, 32)
ROUNDS = 30
_KALMAN_FLOP = 2 * (4 * 4 * 4 * 6)  # a step of filter and smoother: about six products of 4 by 4 matrices each way


@dataclass(frozen=True)
class Contender:
    """What is timed.

    Attributes:
        parameters: how many numbers it keeps.
        mflop: of one frame.
        answer: answers as many frames as it is told.
    """

    parameters: int
    mflop: float
    answer: Callable[[int], object]


def mflop(model: ScadfMoe, steps: int) -> float:
    """Of one frame: encoded once, and fused with `steps` vertices."""
    rng, total = np.random.default_rng(0), 0.0
    for name, module in modules(model, Novelty(1)).items():
        inputs = [torch.from_numpy(array) for array in random_inputs(name, 1, rng, steps).values()]
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(*inputs)
        total += counter.get_total_flops() / 1e6
    return total


def latencies_ms(contenders: dict[str, Contender]) -> dict[str, dict[str, float]]:
    """Median latency of each batch size by name.

    Every round has an order of its own: threads that one leaves spinning slow down whoever comes next.
    """
    rng = np.random.default_rng(0)
    seen: dict[str, dict[str, list[float]]] = {name: {} for name in contenders}
    for frames in BATCHES:
        for round_ in range(ROUNDS + 1):
            for name in rng.permutation(list(contenders)).tolist():
                began = time.perf_counter()
                contenders[name].answer(frames)
                if round_:  # the first is to warm up
                    seen[name].setdefault(str(frames), []).append(1e3 * (time.perf_counter() - began))
    return {
        name: {frames: round(float(np.median(values)), 3) for frames, values in by_batch.items()}
        for name, by_batch in seen.items()
    }


def of_graphs(model: ScadfMoe, exported: ExportedRadio, steps: int) -> Contender:
    """A network whose graphs are run."""
    rng = np.random.default_rng(0)
    inputs = {b: (random_inputs("encode", b, rng), random_inputs("fuse", b, rng, steps)) for b in BATCHES}

    def answer(frames: int) -> None:
        encode, fuse = inputs[frames]
        exported.run("encode", encode)
        exported.run("fuse", fuse)

    return Contender(sum(p.numel() for p in model.parameters()), mflop(model, steps), answer)


def of_smoother(single: Contender) -> Contender:
    """The Kalman smoother over the last T single-point estimates, the newest of which is made first."""
    rng = np.random.default_rng(0)
    place = rng.normal(size=(max(BATCHES), RADIO_STEPS, 2))
    scale = np.tile([1.0, 0.0, 1.0], (max(BATCHES), RADIO_STEPS, 1))
    age = np.tile(np.arange(RADIO_STEPS)[::-1] / 10, (max(BATCHES), 1))
    mask = np.ones_like(age, bool)

    def answer(frames: int) -> None:
        single.answer(frames)
        kalman.smooth(place[:frames], scale[:frames], age[:frames], mask[:frames], kalman.GRID[0])

    return Contender(single.parameters, single.mflop + RADIO_STEPS * _KALMAN_FLOP / 1e6, answer)


def of_knn(fingerprints: RadioMap) -> Contender:
    """Fingerprinting by the angle-delay image: one frame after the projection is compared with those of its site."""
    (_, scaler, pca, search), kept = fingerprints.largest(), fingerprints.size()
    asked = np.random.default_rng(0).uniform(0, 127, (max(BATCHES), scaler.n_features_in_))
    projected = scaler.n_features_in_ * pca.n_components_

    def answer(frames: int) -> None:
        search.kneighbors(pca.transform(scaler.transform(asked[:frames])))

    return Contender(kept, 2 * (projected + search.n_samples_fit_ * pca.n_components_) / 1e6, answer)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.radio.cost", description=__doc__)
    parser.add_argument("--set", type=Path, default=Path("data/full"), help="folder of the set (default %(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="(default %(default)s)")
    parser.add_argument("--artifact", type=Path, default=Path("models/zoo/scadf-moe"), help="(default %(default)s)")
    args = parser.parse_args(argv)
    try:
        table = json.loads((args.artifact / "table.json").read_text())
        whole = [row for row in TRAINED if row.name in table and len(row.bands) == len(BANDS)]
        models = [(row, load_run(row.folder(args.runs, 0))[0]) for row in whole]
        train = load(args.set, SPLITS[0], "train", tuple(band.name for band in BANDS), quiet=True)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    contenders = {"weighted-knn": of_knn(RadioMap(train, "image"))} if "weighted-knn" in table else {}
    with tempfile.TemporaryDirectory() as scratch:
        for row, model in models:
            folder = Path(scratch) / row.name
            folder.mkdir()
            export_graphs(model, Novelty(1), folder)
            contenders[row.name] = of_graphs(model, ExportedRadio(folder), min(row.lengths[0], RADIO_STEPS))
            if row.name == "scadf-moe" and (args.artifact / "int8").is_dir():
                contenders["scadf-moe int8"] = of_graphs(model, ExportedRadio(args.artifact / "int8"), RADIO_STEPS)
            if row.name == "scadf-single" and "kalman-smoother" in table:
                contenders["kalman-smoother"] = of_smoother(contenders[row.name])
        latency = latencies_ms(contenders)
    errors = {name: _mean(table[name]) for name in contenders if name in table}
    if "scadf-moe int8" in contenders:
        manifest = json.loads((args.artifact / "int8" / "manifest.json").read_text())
        errors["scadf-moe int8"] = round(manifest["metrics"][SPLITS[0]]["all/all"]["position_mean_m"], 3)
    found: dict[str, dict[str, Any]] = {
        name: {
            "parameters": contender.parameters,
            "mflop": round(contender.mflop, 2),
            "latency_ms": latency[name],
            "mean_m": errors[name],
        }
        for name, contender in contenders.items()
    }
    (args.artifact / "cost.json").write_text(json.dumps({"machine": machine(), "rows": found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 0


def _mean(seeds: dict[str, Any]) -> float:
    errors = [splits[SPLITS[0]]["all/all"]["position_mean_m"] for splits in seeds.values()]
    return round(float(np.mean(errors)), 3)


if __name__ == "__main__":
    sys.exit(main())
