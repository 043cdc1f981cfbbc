"""Train a system: `python -m models.train gated-fusion`.

Writes `runs/<name>/`: `config.json`, `log.jsonl` (a line an epoch), `checkpoint.pt` (to resume) and `model.pt` (the
averaged weights, when done). Interrupted runs go on from the last epoch when started again with the same settings.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models.data import instructions, raytraced_set
from models.data.batches import Batch, Radio, draw_channels, radar_sequences, training_windows
from models.data.measured import radhar
from models.data.raytraced_set import RayTracedSet
from models.predict import predict_scene, predict_windows
from models.systems.gated_fusion import GatedFusion
from models.systems.gated_fusion_training import GatedFusionObjective
from service.contract.labels import MODALITIES
from service.contract.tensors import TRAJECTORY_LEN

SYSTEMS = ("gated-fusion",)


@dataclass(frozen=True)
class Config:
    """Everything that a run depends on, but the bytes of the data."""

    system: str = "gated-fusion"
    site: str = "munich"
    band: str = "6 GHz"
    split: str = "held-out-trajectories"
    seed: int = 0
    epochs: int = 30
    modalities: tuple[str, ...] = MODALITIES
    windows: int = 2  # episodes in a batch, 8 snapshots and all UEs of each
    radar_runs: int = 12  # runs of 8 RadHAR windows in a batch
    draws: int = 3  # measurements of every channel that training picks from
    learning_rate: float = 8e-4
    weight_decay: float = 0.02
    average: float = 0.995  # decay of the averaged weights, per step


@dataclass
class Run:
    """State of a training run."""

    config: Config
    objective: GatedFusionObjective
    averaged: GatedFusion
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    epoch: int = 0

    @classmethod
    def start(cls, config: Config, steps_per_epoch: int, prepare: Callable[[GatedFusion], None]) -> Run:
        """A fresh run; see `fit`."""
        torch.manual_seed(config.seed)
        model = GatedFusion().to(memory_format=torch.channels_last)
        prepare(model)
        objective = GatedFusionObjective(model)
        optimizer = torch.optim.AdamW(objective.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, total_steps=config.epochs * steps_per_epoch + 1, pct_start=0.15
        )
        return cls(config, objective, copy.deepcopy(model), optimizer, schedule)

    def save(self, path: Path) -> None:
        """Write a checkpoint; it appears whole or not at all."""
        state = {name: getattr(self, name).state_dict() for name in ("objective", "averaged", "optimizer", "schedule")}
        temporary = path.with_suffix(".tmp")
        torch.save({**state, "epoch": self.epoch}, temporary)
        temporary.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True)
        for name in ("objective", "averaged", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.epoch = state["epoch"]


def train_epoch(
    run: Run, data: RayTracedSet, draws: Radio | None, people: list[radhar.Recording], bar: tqdm
) -> dict[str, float]:
    """One pass over the ray-traced episodes, with RadHAR runs beside them. Returns mean losses."""
    config = run.config
    rng = np.random.default_rng([config.seed, run.epoch])
    radar = "radar" in config.modalities and bool(people)
    run.objective.train()
    for module in run.objective.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()  # frozen: neither its weights nor the statistics of its norms may move
    seen: dict[str, list[float]] = {}  # a loss for each batch that has the task
    runs: Iterator[Batch] = iter(())
    for batch in training_windows(data, draws, config.modalities, config.windows, rng):
        batches = [batch]
        if radar:
            extra = next(runs, None)
            if extra is None:
                runs = radar_sequences(people, config.radar_runs, TRAJECTORY_LEN, rng)
                extra = next(runs, None)
            if extra is None:
                raise ValueError(f"expected at least {config.radar_runs} training recordings, got {len(people)}")
            batches.append(extra)
        text, wanted = (torch.from_numpy(a) for a in instructions.draw(32, rng))
        loss, parts = run.objective(batches, text, wanted)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.objective.parameters(), 5.0)
        run.optimizer.step()
        run.schedule.step()
        _average(run.averaged, run.objective.model, min(config.average, 1 - 1 / (1 + run.schedule.last_epoch)))
        for task, value in {"total": float(loss.detach()), **parts}.items():
            seen.setdefault(task, []).append(value)
        bar.update()
        bar.set_postfix({task: f"{np.mean(values):.3f}" for task, values in seen.items()})
    return {task: float(np.mean(values)) for task, values in seen.items()}


def validate(
    model: GatedFusion, data: RayTracedSet, people: list[radhar.Recording], config: Config
) -> dict[str, float]:
    """Figures on the validation split, frames in the order of the stream."""
    scene = predict_scene(model, data, config.modalities).counted()
    error = np.hypot(*(scene.position_m - scene.truth_m).T)
    seen = scene.los_logit > 0
    recall = [float((seen == truth)[scene.los == truth].mean()) for truth in (True, False)]
    figures = {
        "median_m": float(np.median(error)),
        "p95_m": float(np.quantile(error, 0.95)),
        "los_balanced_accuracy": float(np.mean(recall)),
    }
    if people and "radar" in config.modalities:
        person = predict_windows(model, people, steps=1)
        figures["activity_accuracy"] = float((person.logits.argmax(1) == person.activity).mean())
    return figures


def _average(averaged: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    with torch.no_grad():
        for mine, theirs in zip(averaged.parameters(), model.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for mine, theirs in zip(averaged.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)


def fit(
    config: Config,
    data: dict[str, RayTracedSet],
    people: dict[str, list[radhar.Recording]],
    folder: Path,
    prepare: Callable[[GatedFusion], None] = lambda model: None,
    validate_every: int = 5,
    quiet: bool = False,
) -> None:
    """Train until `config.epochs`, from the checkpoint in `folder` where there is one.

    Args:
        data, people: parts `"train"` and `"val"`.
        prepare: changes the fresh model before training, e.g. loads weights or freezes some.

    Raises:
        FileExistsError: the folder holds a run with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = json.loads(json.dumps(asdict(config)))
    known = folder / "config.json"
    if known.exists() and json.loads(known.read_text()) != described:
        raise FileExistsError(f"{folder}: holds a run with other settings; choose another --name or delete it")
    known.write_text(json.dumps(described, indent=2) + "\n")
    steps = len(data["train"].episode) // config.windows
    if steps == 0:
        raise ValueError(f"expected at least {config.windows} training episodes, got {len(data['train'].episode)}")
    run = Run.start(config, steps, prepare)
    draws = draw_channels(data["train"], config.draws, config.seed) if "csi" in config.modalities else None
    if (folder / "checkpoint.pt").exists():
        run.resume(folder / "checkpoint.pt")
    with tqdm(total=config.epochs * steps, initial=run.epoch * steps, desc=folder.name, disable=quiet) as bar:
        while run.epoch < config.epochs:
            started = time.perf_counter()
            losses = train_epoch(run, data["train"], draws, people["train"], bar)
            run.epoch += 1
            line = {"epoch": run.epoch, "seconds": round(time.perf_counter() - started, 1), "loss": losses}
            if run.epoch % validate_every == 0 or run.epoch == config.epochs:
                line["val"] = validate(run.averaged, data["val"], people["val"], config)
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            if quiet:
                print(json.dumps(line), flush=True)
            run.save(folder / "checkpoint.pt")
    torch.save(run.averaged.state_dict(), folder / "model.pt")


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    torch.set_num_threads(args.threads)
    config = Config(
        system=args.system, site=args.site, band=args.band, split=args.split, seed=args.seed, epochs=args.epochs,
        modalities=tuple(args.modalities.split(",")),
    )  # fmt: skip
    try:
        data = raytraced_set.load_parts(args, ("train", "val"), args.json)
        people = radhar.by_part(args.radhar)
        folder = args.runs / f"{args.name or args.system}-seed{config.seed}"
        fit(config, data, people, folder, validate_every=args.validate_every, quiet=args.json)
    except (FileNotFoundError, FileExistsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    raytraced_set.add_arguments(parser)
    parser.add_argument("--radhar", type=Path, help="folder of the RadHAR set; without it no activity is trained")
    parser.add_argument("--modalities", default=",".join(MODALITIES), help="comma-separated; one makes a baseline")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=Config.epochs)
    parser.add_argument("--name", help="name of the run (default: the system)")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--validate-every", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="a JSON line an epoch instead of a progress bar")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
