"""Train what the table of SCADF-MoE needs and is not there yet: `python -m models.radio.train_rows --jobs 2`.

Seeds come first: after a third of the time every row has one. Interrupted runs go on when this is started again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from models.radio.rows import EPOCHS, SEEDS, TRAINED, Trained


def train(row: Trained, seed: int, args: argparse.Namespace) -> int:
    """One run, its output added to `train.log` in its folder; returns the exit status."""
    folder = row.folder(args.runs, seed)
    if (folder / "model.pt").exists():
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "models.train", *row.command(seed, EPOCHS), "--set", str(args.set), "--runs",
        str(args.runs), "--threads", str(args.threads), "--json",
    ]  # fmt: skip
    with (folder / "train.log").open("a") as log:
        status = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    print(f"{folder}: {'done' if status == 0 else f'failed, see {log.name}'}", flush=True)
    return status


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status, 1 where a run failed."""
    parser = argparse.ArgumentParser(prog="python -m models.radio.train_rows", description=__doc__)
    parser.add_argument("--set", type=Path, default=Path("data/full"), help="folder of the set (default %(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="(default %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each run (default %(default)s)")
    parser.add_argument("--rows", help="comma-separated names; all by default")
    args = parser.parse_args(argv)
    wanted = set(args.rows.split(",")) if args.rows else {row.name for row in TRAINED}
    if strays := sorted(wanted - {row.name for row in TRAINED}):
        parser.error(f"--rows: expected some of {', '.join(row.name for row in TRAINED)}, got {', '.join(strays)}")
    work = [(row, seed) for seed in SEEDS for row in TRAINED if row.name in wanted]
    with ThreadPoolExecutor(args.jobs) as pool:
        statuses = list(pool.map(lambda job: partial(train, *job)(args), work))
    return int(any(statuses))


if __name__ == "__main__":
    sys.exit(main())
