"""Train a system: `python -m models.train gated-fusion`, `python -m models.train scadf-moe`.

Writes `runs/<name>-seed<n>/`: `config.json`, `log.jsonl` (a line an epoch), checkpoints (to resume) and `model.pt`
(the averaged weights, when done). Interrupted runs go on from the last epoch when started again with the same settings.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from models.systems import gated_fusion_run, scadf_run

SYSTEMS = {"gated-fusion": gated_fusion_run, "scadf-moe": scadf_run}


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    torch.set_num_threads(args.threads)
    try:
        SYSTEMS[args.system].train(args, args.runs / f"{args.name or args.system}-seed{args.seed}")
    except (FileNotFoundError, FileExistsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    systems = parser.add_subparsers(dest="system", required=True)
    for name, module in SYSTEMS.items():
        system = systems.add_parser(name, description=module.__doc__)
        system.add_argument("--seed", type=int, default=0)
        system.add_argument("--epochs", type=int)
        system.add_argument("--name", help="name of the run (default: the system)")
        system.add_argument("--runs", type=Path, default=Path("runs"))
        system.add_argument("--threads", type=int, default=torch.get_num_threads())
        system.add_argument("--validate-every", type=int, default=5)
        system.add_argument("--json", action="store_true", help="a JSON line an epoch instead of a progress bar")
        module.add_arguments(system)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
