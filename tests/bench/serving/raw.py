"""ONNX Runtime in a process of its own without any server: what the machine can do, at its best setting.

The program at the end runs one setting, so that what it costs and holds is its alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from tests.bench.serving.artifact import MODEL
from tests.bench.serving.frames import Arrays, draw

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_WARM_RUNS = 3


@dataclass(frozen=True)
class Setting:
    """`threads` callers take turns at `sessions` sessions of `intra_op` threads each, `batch` frames at a time."""

    sessions: int
    intra_op: int
    callers: int
    batch: int

    def __str__(self) -> str:
        sessions = f"{self.sessions} session{'s' * (self.sessions > 1)}"
        return f"{sessions} × {self.intra_op} intra-op, {self.callers} callers, batch {self.batch}"


@dataclass(frozen=True)
class RawResult:
    """Of one setting. `p50_ms` is the time of one run, that is of a whole batch."""

    setting: Setting
    frames_per_s: float
    p50_ms: float
    cpu_s_per_1000: float


def settings(instances: int, provider: str) -> Iterator[Setting]:
    """Those worth a try on a machine with so many cores."""
    shapes = {(instances, 1, instances), (1, instances, 1), (1, 1, instances), (1, 1, 1)}
    for batch in (1, 8, 32) if provider == "cpu" else (1, 8, 32, 128):
        for sessions, intra_op, callers in sorted(shapes):
            if callers == 1 < batch and intra_op < instances:
                continue  # leaves cores idle: of use only to see how long one frame takes
            yield Setting(sessions, intra_op, callers, batch)


def measure(artifact: Path, setting: Setting, provider: str, seconds: float) -> RawResult:
    """Run one setting in a process of its own. Raises `RuntimeError` where that fails."""
    task = {"model": str(artifact / MODEL), "provider": provider, "seconds": seconds, **asdict(setting)}
    command = [sys.executable, "-m", "tests.bench.serving.raw", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    if done.returncode:
        raise RuntimeError(f"raw: {setting}: {done.stderr.strip()[-1500:]}")
    return RawResult(setting, **json.loads(done.stdout.splitlines()[-1]))


def open_session(model: Path, provider: str, intra_op: int) -> ort.InferenceSession:
    """A session on the provider that was asked for. Raises `RuntimeError` where that cannot be had."""
    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise RuntimeError(
            f"{wanted}: this ONNX Runtime has only {', '.join(ort.get_available_providers())}: for --cuda, install "
            "onnxruntime-gpu in place of onnxruntime, on a machine with a GPU"
        )
    if provider == "cuda":
        ort.preload_dlls()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = intra_op, 1
    session = ort.InferenceSession(model, options, [wanted])
    if session.get_providers()[0] != wanted:
        raise RuntimeError(f"expected {wanted}, got {', '.join(session.get_providers())}: see its driver and libraries")
    return session


def _run(sessions: list[ort.InferenceSession], callers: int, feed: Arrays, seconds: float) -> tuple[list[float], float]:
    """Time of each run, and of all together."""
    times: list[float] = []

    def call(session: ort.InferenceSession) -> None:
        last = started
        while last < started + seconds:
            session.run(None, feed)
            now = time.perf_counter()
            times.append(now - last)
            last = now

    threads = [threading.Thread(target=call, args=(sessions[i % len(sessions)],)) for i in range(callers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, time.perf_counter() - started


def main() -> None:
    """Run the setting that is the only argument, as JSON, and print its result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serving.raw")
    parser.add_argument("task", type=json.loads)
    task = parser.parse_args().task
    model, provider, batch = Path(task["model"]), task["provider"], task["batch"]
    sessions = [open_session(model, provider, task["intra_op"]) for _ in range(task["sessions"])]
    feed = draw(batch)
    for session in sessions:
        for _ in range(_WARM_RUNS):
            session.run(None, feed)
    used_s = time.process_time()
    times, elapsed_s = _run(sessions, task["callers"], feed, task["seconds"])
    used_s = time.process_time() - used_s
    frames = batch * len(times)
    result = {
        "frames_per_s": frames / elapsed_s,
        "p50_ms": 1e3 * float(np.median(times)),
        "cpu_s_per_1000": 1e3 * used_s / frames,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
