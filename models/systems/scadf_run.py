"""Training of SCADF-MoE on the radio frames of many sites and bands."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from models.data import frames as radio_frames
from models.data import planes
from models.data.planes import Planes
from models.data.radio_batches import Radio
from models.data.raytraced.bands import band_index
from models.data.shards import ShardSet
from models.distributed import workers
from models.systems.scadf_config import Config
from models.systems.scadf_fit import fit
from service.contract.labels import CUES


def load(folder: Path, split: str, part: str, bands: tuple[str, ...], quiet: bool) -> Radio:
    """A part with its planes, which are made where they are missing; sites are numbered as in training."""
    shards = ShardSet.open(folder)
    frames = radio_frames.load(folder, split, part, bands=bands, quiet=quiet)
    episodes = {(frames.sites[s].name, int(e)) for s, e in zip(frames.site, frames.episode, strict=True)}
    planes.make(shards, sorted(episodes), os.cpu_count() or 1, quiet)
    trained = tuple(site for site in shards.recipe.sites if site not in shards.recipe.reserved)
    return Radio(frames, Planes(shards, frames, [band_index(name) for name in bands]), trained)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this system; those of `Config` that make a variant for the table."""
    parser.add_argument("--set", type=Path, default=Path("data/full"), help="folder of the set (default %(default)s)")
    parser.add_argument(
        "--split", default=Config.split, help="protocol whose training part is used (default %(default)s)"
    )
    parser.add_argument("--device", help="cpu or cuda (default: a GPU where there is one)")
    parser.add_argument("--bands", default=",".join(Config.bands), help="comma-separated (default %(default)s)")
    parser.add_argument("--cues", default=",".join(CUES), help="comma-separated (default %(default)s)")
    parser.add_argument("--routing", choices=["soft", "hard", "none"], default=Config.routing)
    for name, about in _NUMBERS.items():
        value = getattr(Config, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"{about} (default %(default)s)"
        )
    parser.set_defaults(epochs=Config.epochs)


_NUMBERS = {
    "length": "most vertices of a trajectory",
    "path_epochs": "of trajectories, after `epochs` of single frames",
    "clusters": "share of clusters in space beside the windows in time",
    "diversity": "weight of the MMD between experts",
    "layers": "of the trajectory network",
    "vertices": "in a batch",
    "learning_rate": "highest of the schedule",
}


def train(args: argparse.Namespace, folder: Path) -> None:
    """Train as the command line says; raises as `fit` and the loaders do."""
    config = replace(
        Config(split=args.split, seed=args.seed, epochs=args.epochs, routing=args.routing),
        bands=tuple(args.bands.split(",")),
        cues=tuple(args.cues.split(",")),
        **{name: getattr(args, name) for name in _NUMBERS},
    )
    data = {part: load(args.set, config.split, part, config.bands, args.json) for part in ("train", "val")}
    with workers(args.device) as together:
        fit(config, data, folder, together, args.validate_every, args.json)
