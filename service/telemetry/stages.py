"""The stages of a request's path, as metrics and, where tracing is on, as spans."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType

from prometheus_client import Histogram

from service.metrics.compute import STAGES, ComputeMetrics
from service.telemetry.tracer import Tracer


class Stages:
    """Times stages by their names in `STAGES`."""

    def __init__(self, metrics: ComputeMetrics, tracer: Tracer | None = None) -> None:
        self._durations = {name: metrics.stage_duration.labels(name) for name in STAGES}
        self._tracer = tracer

    @property
    def traced(self) -> bool:
        """Whether stages become spans, which belong to one request each."""
        return self._tracer is not None

    def stage(self, name: str) -> Stage:
        """A context that is timed, whether it ends well or not."""
        return Stage(self._durations[name], None if self._tracer is None else self._tracer.stage(name))

    def record(self, name: str, started_s: float, ended_s: float, requests: int = 1) -> None:
        """A stage of so many requests that is over, between two times of `time.monotonic()`."""
        self._durations[name].observe_times(ended_s - started_s, requests)
        if self._tracer is not None:
            self._tracer.record(name, started_s, ended_s)


class Stage:
    """One stage of one request."""

    __slots__ = ("_duration", "_span", "_started_s")

    def __init__(self, duration: Histogram, span: AbstractContextManager[object] | None) -> None:
        self._duration = duration
        self._span = span

    def __enter__(self) -> None:
        self._started_s = time.monotonic()
        if self._span is not None:
            self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._span is not None:
            self._span.__exit__(kind, error, traceback)
        self._duration.observe(time.monotonic() - self._started_s)
