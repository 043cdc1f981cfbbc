"""How fast a build went, for its report and for `builds.json`, from which the dataset card takes its table."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.data.provenance import commit
from models.data.shard_job import Product
from models.data.shards import replace_file

NAME = "builds.json"
SCALING = "scaling.json"  # builds of a few episodes with more and more workers; `python -m tests.bench.building`


@dataclass
class _Worker:
    """What one worker has done."""

    machine: dict[str, Any]
    episodes: int = 0
    busy_s: float = 0.0


class Throughput:
    """Counts the products of one build, from its creation on."""

    def __init__(self, kind: str, snapshots: int) -> None:
        self._kind, self._snapshots = kind, snapshots  # `local` or `ray`; snapshots of an episode
        self._started = time.perf_counter()
        self._bytes = 0
        self._workers: dict[tuple[str, int], _Worker] = {}

    def add(self, product: Product) -> None:
        """Count a product that did not fail."""
        worker = self._workers.setdefault(product.worker, _Worker(product.machine))
        worker.busy_s += product.seconds
        if product.job.episode is not None:
            worker.episodes += 1
            self._bytes += len(product.data)

    def report(self, complete: bool) -> dict[str, Any]:
        """Counts and rates so far; rates are None before the first episode.

        `snapshots_per_s` is of all workers over the whole time, the starting of the workers included; that of a worker
        is over the time that it was busy, the loading of scenes included.
        """
        seconds = time.perf_counter() - self._started
        workers = self._workers.values()
        snapshots = self._snapshots * sum(worker.episodes for worker in workers)
        machines = {host: worker.machine for (host, _), worker in self._workers.items()}.values()
        return {
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "complete": complete,
            "kind": self._kind,
            "workers": len(workers),
            "snapshots": snapshots,
            "seconds": round(seconds, 3),
            "snapshots_per_s": _ratio(snapshots, seconds),
            "bytes_per_snapshot": _ratio(self._bytes, snapshots, None),
            "snapshots_per_s_of_worker": [_ratio(self._snapshots * w.episodes, w.busy_s) for w in workers],
            "cpu": " + ".join(sorted({str(machine["cpu"]) for machine in machines})),
            "cores": sum(int(machine["cores"]) for machine in machines),
            **commit(),
        }


def append_report(folder: Path, report: dict[str, Any]) -> None:
    """Add the report of a build to those of the set."""
    replace_file(folder / NAME, f"{json.dumps([*reports(folder), report], indent=1)}\n".encode())


def reports(folder: Path, name: str = NAME) -> list[dict[str, Any]]:
    """Reports of the builds that made the set, oldest first, or those of its `SCALING`."""
    path = folder / name
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return found


def _ratio(dividend: float, divisor: float, digits: int | None = 3) -> float | None:
    return round(dividend / divisor, digits) if dividend else None
