"""Where data comes from: the commit, the versions, and the machine that made it."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_SOURCES = (
    "models/data/raytraced/*.py", "models/data/recipe.py", "models/data/schema.py", "service/normalizers/*.py",
    "service/contract/*.py",
)  # fmt: skip
_PACKAGES = ("sionna-rt", "mitsuba", "drjit", "numpy", "simplejpeg")  # that the bytes of a shard can depend on


@functools.cache
def software() -> dict[str, str]:
    """Versions of what the bytes of a shard depend on besides our code, less what is not installed."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@functools.cache
def machine() -> dict[str, Any]:
    """Name of the processor, and how many of its cores this process may use."""
    return {"cpu": _cpu(), "cores": len(os.sched_getaffinity(0))}


@functools.cache
def commit() -> dict[str, object]:
    """Commit of this code as it is run, and whether files were changed since; both None outside of a checkout."""
    state = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": _git("rev-parse", "HEAD"), "changed": None if state is None else bool(state)}


@functools.cache
def source() -> str:
    """First 16 hex digits of the SHA-256 of the code that a shard's bytes can depend on."""
    root = Path(__file__).parents[2]
    files = [path for pattern in _SOURCES for path in root.glob(pattern)]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    try:
        run = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return run.stdout.strip() if run.returncode == 0 else None
