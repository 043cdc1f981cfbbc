"""A training run in a folder: settings, checkpoint, log, averaged weights. Interrupted ones go on where they were."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

CLIP = 5.0  # largest norm of a gradient


@dataclass
class Run:
    """State of a training run.

    Attributes:
        objective: what is trained, with the `model` in it.
        averaged: exponential moving average of the model's weights, which is what is kept.
        decay: of that average, per step.
    """

    objective: nn.Module
    model: nn.Module
    averaged: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    decay: float
    epoch: int = 0

    @classmethod
    def start(
        cls, objective: nn.Module, model: nn.Module, steps: int, learning_rate: float, weight_decay: float, decay: float
    ) -> Run:
        """A fresh run of at most `steps` steps, under one cycle of the learning rate."""
        optimizer = torch.optim.AdamW(objective.parameters(), learning_rate, weight_decay=weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps + 1, pct_start=0.15)
        return cls(objective, model, copy.deepcopy(model), optimizer, schedule, decay)

    def train(self) -> None:
        """Everything to training mode, but for what is frozen: neither its weights nor its statistics may move."""
        self.objective.train()
        for module in self.objective.modules():
            own = list(module.parameters())
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()

    def step(self, loss: Tensor) -> None:
        """One step down the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.objective.parameters(), CLIP)
        self.optimizer.step()
        self.schedule.step()
        self._average(min(self.decay, 1 - 1 / (1 + self.schedule.last_epoch)))

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        for mine, theirs in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for mine, theirs in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
            mine.copy_(theirs)

    def save(self, path: Path) -> None:
        """Write a checkpoint; it appears whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        temporary = path.with_suffix(".tmp")
        torch.save({**state, "epoch": self.epoch}, temporary)
        temporary.replace(path)

    def _parts(self) -> dict[str, Any]:
        """What a checkpoint holds; the same whether one process trains or several."""
        bare = self.objective.module if isinstance(self.objective, DistributedDataParallel) else self.objective
        return {"objective": bare, "averaged": self.averaged, "optimizer": self.optimizer, "schedule": self.schedule}

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        if path.exists():
            state = torch.load(path, weights_only=True, map_location="cpu")
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.epoch = state["epoch"]


def claim(folder: Path, settings: Mapping[str, object]) -> None:
    """Make the folder of a run, with its `config.json`.

    Raises:
        FileExistsError: the folder holds a run with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = json.loads(json.dumps(settings))
    known = folder / "config.json"
    if known.exists() and json.loads(known.read_text()) != described:
        raise FileExistsError(f"{folder}: holds a run with other settings; choose another --name or delete it")
    known.write_text(json.dumps(described, indent=2) + "\n")


def log_epoch(folder: Path, line: Mapping[str, object], aloud: bool) -> None:
    """Add a line to `log.jsonl`, and print it where there is no progress bar."""
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    if aloud:
        print(json.dumps(line), flush=True)
