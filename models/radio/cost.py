"""What an answer costs: `python -m models.radio.cost` writes `cost.json` into the artifact's folder.

For the system and the baselines that are graphs: parameters, MFLOP a frame (two a multiply-add, counted by torch), and
the latency of encoding and fusing B frames by ONNX Runtime with all cores, median of interleaved rounds, so that the
rows are compared under the same load. The errors are those of `table.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.data.provenance import machine
from models.data.raytraced.bands import BANDS
from models.novelty import Novelty
from models.radio.export import export_graphs
from models.radio.exported import ExportedRadio
from models.radio.graphs import modules, random_inputs
from models.radio.rows import TRAINED
from models.radio.table import SPLITS, load_run
from models.systems.scadf_moe import ScadfMoe
from service.contract.tensors import RADIO_STEPS

BATCHES = (1, 8, 32)
ROUNDS = 30


def mflop(model: ScadfMoe, steps: int) -> float:
    """Of one frame: encoded once, and fused with `steps` vertices."""
    rng, total = np.random.default_rng(0), 0.0
    for name, module in modules(model, Novelty(1)).items():
        inputs = [torch.from_numpy(array) for array in random_inputs(name, 1, rng, steps).values()]
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(*inputs)
        total += counter.get_total_flops() / 1e6
    return total


def latencies_ms(artifacts: dict[str, tuple[ExportedRadio, int]]) -> dict[str, dict[str, float]]:
    """Median latency of each batch size by name, of artifacts that fuse so many steps."""
    rng = np.random.default_rng(0)
    seen: dict[str, dict[str, list[float]]] = {name: {} for name in artifacts}
    for frames in BATCHES:
        encode = random_inputs("encode", frames, rng)
        fuse = {steps: random_inputs("fuse", frames, rng, steps) for steps in {s for _, s in artifacts.values()}}
        for _ in range(ROUNDS):
            for name, (model, steps) in artifacts.items():
                began = time.perf_counter()
                model.run("encode", encode)
                model.run("fuse", fuse[steps])
                seen[name].setdefault(str(frames), []).append(1e3 * (time.perf_counter() - began))
    return {
        name: {frames: round(float(np.median(values)), 3) for frames, values in by_batch.items()}
        for name, by_batch in seen.items()
    }


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.radio.cost", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="(default %(default)s)")
    parser.add_argument("--artifact", type=Path, default=Path("models/zoo/scadf-moe"), help="(default %(default)s)")
    args = parser.parse_args(argv)
    try:
        table = json.loads((args.artifact / "table.json").read_text())
        whole = [row for row in TRAINED if row.name in table and len(row.bands) == len(BANDS)]
        rows = [(row, load_run(row.folder(args.runs, 0))[0]) for row in whole]
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        artifacts = {}
        for row, model in rows:
            folder = Path(scratch) / row.name
            folder.mkdir()
            export_graphs(model, Novelty(1), folder)
            artifacts[row.name] = ExportedRadio(folder), min(row.lengths[0], RADIO_STEPS)
        latency = latencies_ms(artifacts)
    found: dict[str, dict[str, Any]] = {
        row.name: {
            "parameters": sum(p.numel() for p in model.parameters()),
            "mflop": round(mflop(model, row.lengths[0]), 2),
            "latency_ms": latency[row.name],
            "mean_m": _mean(table[row.name]),
        }
        for row, model in rows
    }
    (args.artifact / "cost.json").write_text(json.dumps({"machine": machine(), "rows": found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 0


def _mean(seeds: dict[str, Any]) -> float:
    errors = [splits[SPLITS[0]]["all/all"]["position_mean_m"] for splits in seeds.values()]
    return round(float(np.mean(errors)), 3)


if __name__ == "__main__":
    sys.exit(main())
