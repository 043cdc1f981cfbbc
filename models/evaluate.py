"""Reproduce an artifact's card: `python -m models.evaluate gated-fusion`.

Runs the exported graphs, with the manifest's calibration, over the test parts, and compares with the card's figures.
Exits with 1 where a figure differs by more than the tolerance, so a stale card cannot go unnoticed, and with 2 where
the card was measured on another ray-traced set: then the figures are only shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import cast

from models.data import raytraced_set
from models.data.measured import radhar
from models.data.shards import ShardSet
from models.evaluation import Data, measure
from models.exported import ExportedModel
from models.metrics import Figures
from service.contract.labels import MODALITIES
from service.contract.manifest import Manifest

TOLERANCE = 0.01  # relative to max(1, figure): another processor rounds otherwise


def differences(mine: dict[str, Figures], card: dict[str, Figures]) -> list[str]:
    """Figures that are not as the card says, a line each."""
    found = []
    for split, figures in mine.items():
        for name, value in figures.items():
            promised = card.get(split, {}).get(name)
            if promised is None:
                found.append(f"{split}: {name} is {value:.4f}, the card does not have it")
            elif not abs(value - promised) <= TOLERANCE * max(1.0, abs(promised)):  # so that NaN differs, too
                found.append(f"{split}: {name} is {value:.4f}, the card says {promised:.4f}")
    return found


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    folder = args.zoo / args.artifact
    manifest = Manifest.load(folder)
    try:
        fingerprint = ShardSet.open(args.set).fingerprint
        data = Data(raytraced_set.load_parts(args, ("test",), args.json), radhar.by_part(args.radhar))
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    figures = measure(ExportedModel(folder), manifest.calibration, data, MODALITIES)
    wrong = differences(figures, cast(dict[str, Figures], manifest.metrics))
    same_set = any(fingerprint in known["name"] for known in manifest.training_data)
    if args.json:
        print(json.dumps({"figures": figures, "differences": wrong, "same_set": same_set}))
    else:
        for split, values in figures.items():
            print(f"\n{split}")
            for name, value in values.items():
                print(f"  {name:32} {value:10.4f}")
        print()
        if same_set:
            print("\n".join(wrong) or "every figure measured here is as the card says")
        if not args.radhar:
            print("not measured: the RadHAR splits, which need --radhar")
    if not same_set:
        known = "; ".join(data["name"] for data in manifest.training_data)
        print(f"not compared with the card: expected a set among {known}, got {fingerprint}", file=sys.stderr)
        return 2
    return 1 if wrong else 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    parser.add_argument("artifact")
    raytraced_set.add_arguments(parser)
    parser.add_argument("--radhar", type=Path, help="folder of the RadHAR set")
    parser.add_argument("--zoo", type=Path, default=Path("models/zoo"))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
