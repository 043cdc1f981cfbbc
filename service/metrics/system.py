"""The service itself: what it was built from, what it serves, what it stands on."""

from __future__ import annotations

import platform

from service.metrics.compute import FINE_SECONDS
from service.metrics.families import Families
from service.version import UNKNOWN, package_version, version_of


class ProcessMetrics:
    """What a process costs, whatever it does. Gauges of processes that died count no more."""

    def __init__(self, families: Families) -> None:
        self.resident_memory = families.gauge(
            "process_resident_memory_bytes", "Resident memory of the processes together."
        )
        self.cpu = families.counter("process_cpu_seconds_total", "Processor time of the processes together.")
        self.start_time = families.gauge(
            "process_start_time_seconds", "Unix time at which the youngest of the processes started.", across="livemax"
        )
        self.device_memory_used = families.gauge(
            "device_memory_used_bytes",
            "Memory in use on a CUDA device, by whatever uses it; absent without one.",
            ["device"],
            across="livemax",
        )
        self.device_memory_total = families.gauge(
            "device_memory_total_bytes", "Memory of a CUDA device.", ["device"], across="livemax"
        )


class SystemMetrics(ProcessMetrics):
    """Of a process that answers requests."""

    def __init__(self, families: Families, commit: str) -> None:
        self.ready = families.gauge("ready", "Processes whose models are warm: 0 or 1 where one process answers.")
        self.workers = families.gauge("workers", "Processes that answer requests and live, warm or not.")
        self.redis_up = families.gauge(
            "redis_up",
            "1 where Redis answered the last time it was asked, else 0; asked every second.",
            across="livemin",
        )
        self.redis_duration = families.histogram(
            "redis_duration_seconds",
            "Time that a call of Redis took, those that failed included, by what it was for.",
            ["operation"],
            buckets=FINE_SECONDS,
        )
        self.redis_errors = families.counter(
            "redis_errors_total", "Calls of Redis that failed or took too long, by what they were for.", ["operation"]
        )
        super().__init__(families)
        self.artifact_info = families.gauge(
            "artifact_info",
            "Always 1; the labels say which artifact serves a site, and on which provider of ONNX Runtime.",
            ["site", "artifact", "version", "provider"],
            across="livemax",
        )
        build = families.gauge(
            "build_info",
            "Always 1; the build is in the labels.",
            ["version", "commit", "python", "onnxruntime"],
            across="livemax",
        )
        build.labels(package_version(), commit, platform.python_version(), _onnxruntime_version()).set(1)
        self.workers.set(1)


def _onnxruntime_version() -> str:
    return next((v for name in ("onnxruntime", "onnxruntime-gpu") if (v := version_of(name)) != UNKNOWN), "none")
