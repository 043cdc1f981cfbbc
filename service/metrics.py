"""Prometheus metrics: application prefix, base units, histograms, bounded labels."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Metrics:
    """Everything that the service counts, on a registry of its own so that two services can live in one process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.stage_duration = Histogram(
            "cellsense_stage_duration_seconds",
            "Time that one stage of the path of a request took.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_duration = Histogram(
            "cellsense_queue_duration_seconds",
            "Time that a batch waited for its model before it ran, apart from the run itself.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.request_duration = Histogram(
            "cellsense_request_duration_seconds",
            "Time from the request's first byte to the answer's first byte.",
            ["route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_rows = Histogram(
            "cellsense_batch_rows", "Rows of one run of a model.", ["stage"], buckets=_ROWS, registry=registry
        )
        self.queue_rows = Gauge("cellsense_queue_rows", "Rows that wait for a model now.", registry=registry)
        self.frames = Counter(
            "cellsense_frames", "Frames by the status they were answered with.", ["status"], registry=registry
        )
        self.shed = Counter(
            "cellsense_shed_requests", "Requests turned away by load, by reason.", ["reason"], registry=registry
        )
        self.ood = Counter(
            "cellsense_ood_frames", "Answered frames unlike the training data.", ["site"], registry=registry
        )
        self.degraded = Counter(
            "cellsense_degraded_frames", "Frames answered without a part that was down.", ["part"], registry=registry
        )
        self.gate_weight = Histogram(
            "cellsense_gate_weight",
            "Weight of each modality in the fusion.",
            ["modality"],
            buckets=_WEIGHTS,
            registry=registry,
        )
        self.ready = Gauge("cellsense_ready", "1 once every model is warm, else 0.", registry=registry)
        build = Gauge(
            "cellsense_build_info", "Always 1; the build is in the labels.", ["version", "python"], registry=registry
        )
        build.labels(package_version(), platform.python_version()).set(1)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside as the stage `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stage_duration.labels(name).observe(time.perf_counter() - started)


def package_version() -> str:
    """Version of the installed distribution, `0+unknown` where it runs from a folder that was never installed."""
    try:
        return version("cellsense")
    except PackageNotFoundError:
        return "0+unknown"
