"""The curve of a training run: `python -m models.curves runs/scadf-moe-seed0` draws its log as `curve.png`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from matplotlib.figure import Figure


def draw(folder: Path) -> Path:
    """Parts of the loss, and validation errors where they were measured, over the epochs; returns the picture's path.

    Raises:
        FileNotFoundError: the folder holds no log.
    """
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, errors = figure.subplots(1, 2)
    for number, line in enumerate(lines, 1):
        line["epoch"] = number  # each stage counts its own
    for part in lines[0]["loss"]:
        losses.plot([line["epoch"] for line in lines], [line["loss"][part] for line in lines], label=part)
    losses.set(xlabel="epoch", ylabel="loss", title=folder.name)
    losses.set_yscale("symlog")
    losses.legend(fontsize="small")
    validated = [line for line in lines if "val" in line]
    for band in validated[0]["val"] if validated else ():
        for figure_of, style in (("mean_m", "-"), ("median_m", "--")):
            places = [line["val"][band][figure_of] for line in validated]
            errors.plot([line["epoch"] for line in validated], places, style, label=f"{band} {figure_of[:-2]}")
    errors.set(xlabel="epoch", ylabel="error on validation, m", ylim=(0, None), title="position")
    if validated:
        errors.legend(fontsize="small")
    path = folder / "curve.png"
    figure.savefig(path, dpi=120)
    return path


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.curves", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of a run")
    args = parser.parse_args(argv)
    try:
        print(draw(args.folder))
    except FileNotFoundError as error:
        print(f"{args.folder}: expected a folder with a log.jsonl of a run: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
