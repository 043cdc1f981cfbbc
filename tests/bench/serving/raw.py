"""ONNX Runtime without any server: what the machine can do, and which of its settings may do it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """`callers` threads take turns at `sessions` sessions of `intra_op` threads each, `batch` frames at a time."""

    sessions: int
    intra_op: int
    callers: int
    batch: int

    def __str__(self) -> str:
        sessions = f"{self.sessions} session{'s' * (self.sessions > 1)}"
        return f"{sessions} × {self.intra_op} intra-op, {self.callers} callers, batch {self.batch}"


@dataclass(frozen=True)
class RawResult:
    """Of one setting. `p50_ms` is the time of one run, that is of a whole batch; `rss_mib` the most that it held."""

    setting: Setting
    frames_per_s: float
    p50_ms: float
    cpu_s_per_1000: float
    rss_mib: float


def settings(instances: int, provider: str) -> Iterator[Setting]:
    """Those worth a try on a machine with so many cores."""
    shapes = {(instances, 1, instances), (1, instances, 1), (1, 1, instances), (1, 1, 1)}
    for batch in (1, 8, 32) if provider == "cpu" else (1, 8, 32, 128):
        for sessions, intra_op, callers in sorted(shapes):
            if callers == 1 < batch and intra_op < instances:
                continue  # leaves cores idle: of use only to see how long one frame takes
            yield Setting(sessions, intra_op, callers, batch)


def measure(model: Path, setting: Setting, provider: str, seconds: float, feed: Path | None = None) -> RawResult:
    """Run one setting in a process of its own.

    Args:
        model: an ONNX file.
        feed: file of NumPy with the inputs of a batch; without it, frames of the bench.

    Raises:
        RuntimeError: it could not.
    """
    task = {"model": str(model), "provider": provider, "seconds": seconds, **asdict(setting)}
    task["feed"] = str(feed) if feed else None
    command = [sys.executable, "-m", "tests.bench.serving.raw_run", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    if done.returncode:
        raise RuntimeError(f"raw: {setting}: {done.stderr.strip()[-1500:]}")
    return RawResult(setting, **json.loads(done.stdout.splitlines()[-1]))
