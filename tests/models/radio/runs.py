"""Finished runs that nobody trained."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

from models.systems.scadf_config import Config
from models.systems.scadf_moe import ScadfMoe


def write_run(folder: Path, config: Config, sites: int = 2) -> ScadfMoe:
    """The folder that a run with these settings leaves, with fresh weights for so many sites."""
    torch.manual_seed(config.seed)
    model = ScadfMoe(config.design, sites).eval()
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(asdict(config)))
    torch.save(model.state_dict(), folder / "model.pt")
    return model
