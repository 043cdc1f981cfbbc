"""How fast the set is read, beside what a training step eats: `python -m tests.bench.loading --set data/full`.

Frames for each second of processor time, so that whatever else runs on the machine counts little. Each stage by itself:
the columns of a part; the CSI of a random batch, stored or measured anew, and then normalised; and the batches of gated
fusion, beside the training step that they feed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from models.data import frames, instructions, raytraced_set
from models.data.batches import draw_channels, radio_inputs, training_windows
from models.data.shards import ShardSet
from models.data.splits import part
from models.data.trajectories import spatial, temporal
from models.systems.gated_fusion import GatedFusion
from models.systems.gated_fusion_run import Config
from models.systems.gated_fusion_training import GatedFusionObjective
from service.contract.labels import MODALITIES

BATCH = 256  # frames
_REPEATS = 3


def radio_rates(folder: Path, split: str) -> dict[str, float]:
    """What `models.data.frames` does with one site's training part, all bands of each frame."""
    site = part(ShardSet.open(folder), split, "train").sites[0]
    loaded = frames.load(folder, split, "train", [site], quiet=True)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(loaded))[:BATCH]
    csi = loaded.csi(rows)
    bands = list(enumerate(loaded.bands))
    stages: dict[str, tuple[int, Callable[[], object]]] = {
        "columns of a part": (len(loaded), lambda: frames.load(folder, split, "train", [site], quiet=True)),
        "group along time, T = 8": (len(loaded), lambda: temporal(loaded, 8)),
        "group in space, T = 8": (len(loaded), lambda: spatial(loaded, 8, rng)),
        "stored CSI of a batch": (len(rows), lambda: loaded.csi(rows)),
        "CSI of a batch, measured anew": (len(rows), lambda: loaded.measured_anew(rows, rng)),
        "normalise a batch": (len(rows), lambda: [radio_inputs(csi[:, b], band.bandwidth_hz) for b, band in bands]),
    }
    return {name: count / _seconds(work) for name, (count, work) in stages.items()}


def step_rates(args: argparse.Namespace) -> dict[str, float]:
    """What gated fusion does with its training part."""
    data = raytraced_set.load_parts(args, ("train",), quiet=True)["train"]
    draws = draw_channels(data, 1, 0)
    rng = np.random.default_rng(0)
    batches = list(training_windows(data, draws, MODALITIES, Config.windows, rng))
    torch.manual_seed(0)
    objective = GatedFusionObjective(GatedFusion().to(memory_format=torch.channels_last)).train()
    text, wanted = (torch.from_numpy(a) for a in instructions.draw(32, rng))
    frames_of_part, frames_of_batch = data.blocker.size, batches[0].age.numel()
    stages: dict[str, tuple[int, Callable[[], object]]] = {
        "load and normalise a part": (frames_of_part, lambda: raytraced_set.load_parts(args, ("train",), quiet=True)),
        "draw its channels": (frames_of_part, lambda: draw_channels(data, 1, 0)),
        "make batches": (
            len(batches) * frames_of_batch,
            lambda: list(training_windows(data, draws, MODALITIES, Config.windows, rng)),
        ),
        "training step: its appetite": (frames_of_batch, lambda: objective([batches[0]], text, wanted)[0].backward()),
    }
    return {name: count / _seconds(work) for name, (count, work) in stages.items()}


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.loading", description=__doc__)
    raytraced_set.add_arguments(parser)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    report = {"radio frames": radio_rates(args.set, args.split), "gated fusion": step_rates(args)}
    if args.json:
        print(json.dumps(report))
        return
    for group, rates in report.items():
        print(f"{group}, frames per processor second")
        for name, rate in rates.items():
            print(f"  {name:32}{rate:12,.0f}")


def _seconds(work: Callable[[], object]) -> float:
    """Processor time of the work, the shortest of some."""
    times = []
    for _ in range(_REPEATS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


if __name__ == "__main__":
    main()
