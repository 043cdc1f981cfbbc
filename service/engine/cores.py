"""How many cores this process may use: the container's quota, not the host's count."""

from __future__ import annotations

import os
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")  # cgroup v2: "<quota µs or max> <period µs>"


def usable_cores(cpu_max: Path = CPU_MAX) -> int:
    """Whole cores, at least 1: the smaller of the affinity mask and the cgroup's CPU quota."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cpu_max.read_text().split()
        return max(1, min(affine, int(quota) // int(period)))
    except (OSError, ValueError):  # no such cgroup, or its quota is "max"
        return affine
