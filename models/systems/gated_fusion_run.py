"""Training of gated fusion: batches of the street and of people, epochs, validation."""

from __future__ import annotations

import argparse
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
from models.runs import Run, claim, log_epoch
from models.systems.gated_fusion import GatedFusion
from models.systems.gated_fusion_training import GatedFusionObjective
from service.contract.labels import MODALITIES
from service.contract.tensors import TRAJECTORY_LEN


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


def train_epoch(
    run: Run, config: Config, data: RayTracedSet, draws: Radio | None, people: list[radhar.Recording], bar: tqdm
) -> dict[str, float]:
    """One pass over the ray-traced episodes, with RadHAR runs beside them. Returns mean losses."""
    rng = np.random.default_rng([config.seed, run.epoch])
    radar = "radar" in config.modalities and bool(people)
    run.train()
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
        run.step(loss)
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
    claim(folder, asdict(config))
    steps = len(data["train"].episode) // config.windows
    if steps == 0:
        raise ValueError(f"expected at least {config.windows} training episodes, got {len(data['train'].episode)}")
    torch.manual_seed(config.seed)
    model = GatedFusion().to(memory_format=torch.channels_last)
    prepare(model)
    run = Run.start(
        GatedFusionObjective(model), model, config.epochs * steps, config.learning_rate, config.weight_decay,
        config.average,
    )  # fmt: skip
    draws = draw_channels(data["train"], config.draws, config.seed) if "csi" in config.modalities else None
    run.resume(folder / "checkpoint.pt")
    with tqdm(total=config.epochs * steps, initial=run.epoch * steps, desc=folder.name, disable=quiet) as bar:
        while run.epoch < config.epochs:
            started = time.perf_counter()
            losses = train_epoch(run, config, data["train"], draws, people["train"], bar)
            run.epoch += 1
            line = {"epoch": run.epoch, "seconds": round(time.perf_counter() - started, 1), "loss": losses}
            if run.epoch % validate_every == 0 or run.epoch == config.epochs:
                line["val"] = validate(run.averaged, data["val"], people["val"], config)
            log_epoch(folder, line, aloud=quiet)
            run.save(folder / "checkpoint.pt")
    torch.save(run.averaged.state_dict(), folder / "model.pt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this system."""
    raytraced_set.add_arguments(parser)
    parser.add_argument("--radhar", type=Path, help="folder of the RadHAR set; without it no activity is trained")
    parser.add_argument("--modalities", default=",".join(MODALITIES), help="comma-separated; one makes a baseline")
    parser.set_defaults(epochs=Config.epochs)


def train(args: argparse.Namespace, folder: Path) -> None:
    """Train as the command line says; raises as `fit` and the loaders do."""
    config = Config(
        system=args.system, site=args.site, band=args.band, split=args.split, seed=args.seed, epochs=args.epochs,
        modalities=tuple(args.modalities.split(",")),
    )  # fmt: skip
    data = raytraced_set.load_parts(args, ("train", "val"), args.json)
    fit(config, data, radhar.by_part(args.radhar), folder, validate_every=args.validate_every, quiet=args.json)
