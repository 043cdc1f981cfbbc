"""How a build scales: `python -m tests.bench.building`, by local processes and by Ray, with 1 and with 2 workers.

Each builds the same episodes of one site in a folder of its own, so the scene is loaded once by every worker. With
`--set` the reports go into that set's `scaling.json`, from which its card takes them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from models.data import build
from models.data.shard_job import Factory, trace
from models.data.shards import replace_file
from models.data.throughput import SCALING, reports

_SHOWN = ("kind", "workers", "snapshots", "seconds", "snapshots_per_s", "snapshots_per_s_of_worker")


def measure(episodes: int, workers: tuple[int, ...], factory: Factory = trace) -> list[dict[str, Any]]:
    """Reports of the builds, see `models.data.throughput`; those with Ray only where it is installed."""
    kinds: list[tuple[str, ...]] = [(), ("--ray", "local")] if importlib.util.find_spec("ray") else [()]
    found = []
    for kind in kinds:
        for count in workers:
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
                part = ("--profile", "small", "--site", "munich", "--episodes", str(episodes))
                if build.main([*part, "--out", folder, "--json", "--workers", str(count), *kind], factory):
                    raise SystemExit(f"the build with {count} workers failed")
                found += reports(Path(folder))
    return found


def main(argv: list[str] | None = None, factory: Factory = trace) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.building", description=__doc__)
    parser.add_argument("--episodes", type=int, default=8, help="of 8 snapshots each")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--set", type=Path, help="folder of the set whose card shall show the figures")
    args = parser.parse_args(argv)
    found = measure(args.episodes, tuple(args.workers), factory)
    for report in found:
        print(json.dumps({name: report[name] for name in _SHOWN}))
    if args.set:
        replace_file(args.set / SCALING, f"{json.dumps(found, indent=1)}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
