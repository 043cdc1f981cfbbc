"""The two stages of a run of SCADF-MoE: the encoder on single frames, then the fuser on trajectories of embeddings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from models.curves import draw
from models.data.radio_batches import Radio, Trajectories, frame_batches, gather, trajectory_batches
from models.data.trajectories import Grouping, temporal
from models.distributed import Workers
from models.metrics import position_figures
from models.radio.predict import embed
from models.runs import Run, claim, log_epoch
from models.systems.scadf_config import Config
from models.systems.scadf_moe import Fuser, ScadfMoe
from models.systems.scadf_training import FrameObjective, PathObjective, interference
from service.contract.labels import CUES

VALIDATED = 3000  # frames of the validation part that are looked at while training
Batches = Callable[[np.random.Generator], Iterator[Trajectories]]


@dataclass(frozen=True)
class Stage:
    """One of the stages of a run.

    Attributes:
        name: as logged; checkpoints are `<name>.pt`.
        epochs, steps: how many, and steps of each.
        batches: of an epoch.
        validate: figures of the averaged weights, by band.
    """

    name: str
    epochs: int
    steps: int
    batches: Batches
    validate: Callable[[nn.Module], dict[str, dict[str, float]]]


def fit(
    config: Config, data: dict[str, Radio], folder: Path, together: Workers, validate_every: int = 6,
    quiet: bool = False,
) -> None:  # fmt: skip
    """Train both stages, from the checkpoints in `folder` where there are any.

    With several processes every one takes its share of the batches, so a step sees that many times `config.vertices`.

    Raises:
        FileExistsError: the folder holds a run with other settings.
    """
    if together.leads:
        claim(folder, asdict(config))
    together.wait()
    torch.manual_seed(config.seed)
    train, val = data["train"], data["val"]
    some = val.take(np.sort(np.random.default_rng(0).permutation(len(val.frames))[:VALIDATED]))
    model = ScadfMoe(config.design, len(train.site_names)).to(together.device)
    labelled = int((train.frames.present & train.frames.labelled).sum())
    train_stage = _Trainer(config, folder, together, validate_every, quiet or not together.leads, val)
    frames = Stage(
        "frames", config.epochs, _steps(labelled, config, together),
        lambda rng: frame_batches(train, config.vertices, rng),
        lambda averaged: _figures(averaged.fuser, some, _embedding(averaged, some), 1),
    )  # fmt: skip
    averaged = train_stage(frames, FrameObjective(model, config.diversity, config.dropped), model, model)
    together.agree(averaged)
    model.load_state_dict(averaged.state_dict())
    if config.length > 1 and config.path_epochs:
        known, seen = _embedding(model, train, _kept(config, train)), _embedding(model, val)
        paths = Stage(
            "trajectories", config.path_epochs, _steps(round(labelled * (1 + config.clusters)), config, together),
            lambda rng: trajectory_batches(train, config.length, config.clusters, config.vertices, rng, known),
            lambda fuser: _figures(fuser, val, seen, config.length),
        )  # fmt: skip
        averaged = train_stage(paths, PathObjective(model.fuser, config.diversity), model.fuser, model)
        model.fuser.load_state_dict(averaged.state_dict())
    if together.leads:
        torch.save(model.cpu().state_dict(), folder / "model.pt")


def _steps(frames: int, config: Config, together: Workers) -> int:
    return max(1, round(frames / config.vertices) // together.count)


@dataclass(frozen=True)
class _Trainer:
    config: Config
    folder: Path
    together: Workers
    validate_every: int
    quiet: bool
    val: Radio

    def __call__(self, stage: Stage, objective: nn.Module, trained: nn.Module, model: ScadfMoe) -> nn.Module:
        """Train `trained`, which is `model` or a part of it; returns its averaged weights."""
        c = self.config
        run = Run.start(
            self.together.wrap(objective), trained, stage.epochs * (stage.steps + 1), c.learning_rate, c.weight_decay,
            c.average,
        )  # fmt: skip
        checkpoint = self.folder / f"{stage.name}.pt"
        run.resume(checkpoint)
        title = f"{self.folder.name} {stage.name}"
        total, begun = stage.epochs * stage.steps, run.epoch * stage.steps
        with tqdm(total=total, initial=begun, desc=title, disable=self.quiet) as bar:
            while run.epoch < stage.epochs:
                self._epoch(run, stage, model, bar)
                if self.together.leads:
                    run.save(checkpoint)
        return run.averaged

    def _epoch(self, run: Run, stage: Stage, model: ScadfMoe, bar: tqdm[None]) -> None:
        started = time.perf_counter()
        rng = np.random.default_rng([self.config.seed, run.epoch, *stage.name.encode()])
        torch.manual_seed(int(rng.integers(2**31)))
        losses = train_epoch(run, stage.batches(rng), self.together, bar)
        run.epoch += 1
        if not self.together.leads:
            return
        line: dict[str, object] = {
            "stage": stage.name, "epoch": run.epoch, "seconds": round(time.perf_counter() - started, 1),
            "loss": losses,
        }  # fmt: skip
        if run.epoch % self.validate_every == 0 or run.epoch == stage.epochs:
            model.eval()
            some = next(trajectory_batches(self.val, self.config.length, 0.0, self.config.vertices, rng))
            line["interference"] = interference(model, some.to(self.together.device))
            line["val"] = stage.validate(run.averaged.eval())
        log_epoch(self.folder, line, aloud=self.quiet)
        if "val" in line:
            draw(self.folder)


def train_epoch(run: Run, batches: Iterator[Trajectories], together: Workers, bar: tqdm[None]) -> dict[str, float]:
    """One pass over the batches of this process; mean of each part of the loss."""
    run.train()
    seen: dict[str, list[float]] = {}
    for batch in together.share(batches):
        loss, parts = run.objective(batch.to(together.device))
        run.step(loss)
        for task, value in {"total": loss, **parts}.items():
            seen.setdefault(task, []).append(float(value.detach()))
        bar.update()
        bar.set_postfix({task: f"{np.mean(values):.2f}" for task, values in seen.items()})
    if not seen:
        raise ValueError(f"an epoch has fewer batches than processes ({together.count}): take smaller ones")
    return {task: float(np.mean(values)) for task, values in seen.items()}


def _embedding(model: ScadfMoe, part: Radio, kept: NDArray[np.float32] | None = None) -> NDArray[np.float16]:
    return embed(model, part, kept).embedding.astype(np.float16)


def _kept(config: Config, train: Radio) -> NDArray[np.float32]:
    """Cues of each frame `[F, 4]`: what is hidden is hidden from a whole track; CSI, profile and gain come together."""
    column = CUES.index("distance")
    tracks = np.random.default_rng([config.seed, column]).random(int(train.frames.track.max()) + 1)
    kept = np.ones((len(train.frames), len(CUES)), np.float32)
    kept[:, column] = tracks[train.frames.track] >= config.dropped[column]
    return kept


@torch.no_grad()
def _figures(fuser: Fuser, val: Radio, embedding: NDArray[np.float16], length: int) -> dict[str, dict[str, float]]:
    """Figures of the newest vertices of some frames by band, the same ones every time."""
    device = next(fuser.parameters()).device
    some = np.sort(np.random.default_rng(0).permutation(len(val.frames))[:VALIDATED])
    truth, los = val.frames.position_m[some, :2], val.frames.los[some]
    every = temporal(val.frames, length)
    figures = {}
    for number, band in enumerate(val.frames.bands):
        places, seen = [], []
        for rows in np.array_split(some, max(1, len(some) // 512)):
            grouping = Grouping(every.index[rows], every.mask[rows], every.age_s[rows])
            batch = gather(val, grouping, np.full(len(rows), number), embedding).to(device)
            assert batch.embedding is not None
            out = fuser(batch.embedding[batch.place], batch.age, batch.step_mask)
            places.append(out["position"][:, -1].cpu().numpy())
            seen.append(out["los_logit"][:, -1].cpu().numpy() > 0)
        place = np.concatenate(places)
        found = position_figures(place, truth)
        error = np.hypot(*(place - truth).T)
        figures[band.name] = {
            "mean_m": found["position_mean_m"],
            "median_m": found["position_median_m"],
            "p95_m": found["position_p95_m"],
            "mse_m2": found["position_mse_m2"],
            "los_mean_m": float(error[los].mean()),
            "nlos_mean_m": float(error[~los].mean()),
            "los_accuracy": float((np.concatenate(seen) == los).mean()),
        }
    return figures
