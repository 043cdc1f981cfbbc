"""Adapt a finished run to another site: `python -m models.adapt --base runs/gated-fusion-seed0 --site OTHER`.

The encoders stay as they are; gate, trajectory fusion and heads learn from a share of the new site's labelled episodes.
The result is a run folder like any other, for `models.compare` and `models.export`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from models.data import raytraced_set
from models.data.measured import radhar
from models.systems.gated_fusion import GatedFusion
from models.systems.gated_fusion_run import Config, fit

FROZEN = ("csi", "camera", "radar", "radar_motion", "lidar")  # parts of the encoder that are not trained


@dataclass(frozen=True)
class AdaptConfig(Config):
    """A training configuration with where it starts from and how much it may learn from."""

    base: str = ""
    share: float = 1.0


def start_from(model: GatedFusion, weights: Path) -> None:
    """Load a finished run's weights and freeze its encoders."""
    model.load_state_dict(torch.load(weights, weights_only=True))
    for part in FROZEN:
        getattr(model.encoder, part).requires_grad_(False)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    torch.set_num_threads(args.threads)
    try:
        base = json.loads((args.base / "config.json").read_text())
        data = raytraced_set.load_parts(args, ("train", "val"), args.json)
        data["train"] = data["train"].first(max(base["windows"], round(args.share * len(data["train"].episode))))
        config = AdaptConfig(
            system=base["system"], site=args.site, band=args.band, split=args.split, seed=args.seed,
            epochs=args.epochs, modalities=tuple(base["modalities"]), base=str(args.base), share=args.share,
        )  # fmt: skip
        folder = args.runs / f"{args.name}-seed{args.seed}"
        people = radhar.by_part(args.radhar)
        fit(config, data, people, folder, lambda model: start_from(model, args.base / "model.pt"), quiet=args.json)
    except (FileNotFoundError, FileExistsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.adapt", description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the finished run to start from")
    raytraced_set.add_arguments(parser)
    parser.add_argument("--radhar", type=Path, help="folder of the RadHAR set, so that activities are not forgotten")
    parser.add_argument("--share", type=float, default=1.0, help="share of the training episodes that have labels")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="adapted")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="a JSON line an epoch instead of a progress bar")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
