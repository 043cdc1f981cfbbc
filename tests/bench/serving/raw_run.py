"""Runs one setting of ONNX Runtime: a process of its own, so that what it costs and holds is its alone."""

from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

from tests.bench.serving.frames import Arrays, draw

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_WARM_RUNS = 3


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


def _peak_mib() -> float:
    """The most memory of this program: `getrusage` would count what its parent held before it began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Run the setting that is the only argument, as JSON, and print its result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serving.raw_run")
    parser.add_argument("task", type=json.loads)
    task = parser.parse_args().task
    model, provider, batch = Path(task["model"]), task["provider"], task["batch"]
    sessions = [open_session(model, provider, task["intra_op"]) for _ in range(task["sessions"])]
    feed = dict(np.load(task["feed"])) if task["feed"] else draw(batch)
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
        "rss_mib": _peak_mib(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
