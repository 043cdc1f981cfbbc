"""Reproduce the figures of a radio artifact's card: `python -m models.radio.evaluate`.

Runs the exported graphs, with the manifest's calibration, over the test parts. Exits with 1 where a figure differs from
the card's by more than the tolerance, and with 2 where the card was measured on another set.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import cast

from models.data.raytraced.bands import BANDS
from models.data.shards import ShardSet
from models.evaluate import differences
from models.metrics import Figures
from models.radio.exported import ExportedRadio
from models.radio.reporting import report
from models.radio.table import SPLITS, load_data
from service.contract.manifest import Manifest


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.radio.evaluate", description=__doc__)
    parser.add_argument("--set", type=Path, default=Path("data/full"), help="folder of the set (default %(default)s)")
    parser.add_argument("--artifact", type=Path, default=Path("models/zoo/scadf-moe"), help="(default %(default)s)")
    parser.add_argument("--json", action="store_true", help="JSON, no progress bars")
    args = parser.parse_args(argv)
    try:
        manifest = Manifest.load(args.artifact)
        fingerprint = ShardSet.open(args.set).fingerprint
        data = load_data(args.set, tuple(band.name for band in BANDS), args.json)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    model = ExportedRadio(args.artifact)
    wrong, figures = [], {}
    for split in SPLITS:
        figures[split] = report(model, manifest.carriers, data[split])
        promised = cast(dict[str, Figures], manifest.metrics.get(split, {}))
        wrong += [f"{split}, {line}" for line in differences(figures[split], promised)]
    same_set = any(fingerprint in known["name"] for known in manifest.training_data)
    if args.json:
        print(json.dumps({"figures": figures, "differences": wrong, "same_set": same_set}))
    else:
        for split, cells in figures.items():
            for cell, found in cells.items():
                print(f"{split:24} {cell:18} " + "  ".join(f"{k} {found[k]:.3f}" for k in _SHOWN))
        if same_set:
            print("\n".join(wrong) or "every figure measured here is as the card says")
    if not same_set:
        print(f"not compared with the card: it was measured on another set than {fingerprint}", file=sys.stderr)
        return 2
    return 1 if wrong else 0


_SHOWN = ("position_mean_m", "position_median_m", "position_p95_m", "region_90_coverage")


if __name__ == "__main__":
    sys.exit(main())
