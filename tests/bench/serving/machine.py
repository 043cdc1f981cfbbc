"""What the figures were measured on, without which they mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from service.engine.cores import usable_cores
from service.version import package_version
from tests.bench.serving.environments import PINS, runtime_version
from tests.bench.serving.server import Server

_IDLE = 0.5  # running processes, on average
_SHOWN = ("nvidia-pytriton", "ray", "litserve", "fastapi", "uvicorn")


def describe(servers: Sequence[Server], date: str | None) -> dict[str, object]:
    """JSON-ready. `load` is the mean number of running processes over the last minute: it should be near 0."""
    return {
        "date": date or datetime.now(UTC).date().isoformat(),
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
        "gpu": _gpu(),
        "versions": {
            "python": platform.python_version(),
            "onnxruntime": runtime_version(),
            "cellsense": package_version(),
            **_pinned(servers),
        },
    }


def warning(machine: dict[str, object]) -> str:
    """A line that says so where the machine was busy before, else nothing."""
    if float(str(machine["load"])) <= _IDLE:
        return ""
    return f"The machine was busy before (load {machine['load']}), so frames/s compare badly; CPU seconds less so.\n"


def _pinned(servers: Sequence[Server]) -> dict[str, str]:
    """Versions of the peers, from the files that pin them."""
    found = {}
    for requirements in {server.requirements for server in servers if server.requirements}:
        for line in (PINS / f"{requirements}.txt").read_text().splitlines():
            name, _, version = line.partition("==")
            if name in _SHOWN:
                found[name] = version
    return dict(sorted(found.items()))


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpu() -> str | None:
    try:
        asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
