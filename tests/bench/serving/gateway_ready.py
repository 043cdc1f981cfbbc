"""Whether our gateway is ready with all of its processes: one of them answers for itself alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.bench.serving import http_client

_READY = re.compile(r"^cellsense_ready(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


def all_ready(port: int, arguments: Sequence[str]) -> bool:
    """Whether as many processes are ready as the arguments of `cellsense serve` ask for."""
    metrics = http_client.get(port, "/metrics")
    return metrics is not None and ready_in(metrics.decode()) >= workers(arguments)


def workers(arguments: Sequence[str]) -> int:
    """Processes that the arguments ask for."""
    pairs = [word for argument in arguments for word in argument.split("=", 1)]
    return int(pairs[pairs.index("--workers") + 1]) if "--workers" in pairs else 1


def ready_in(metrics: str) -> int:
    """Processes that are ready, by the metrics in Prometheus' text form."""
    return round(sum(float(value) for value in _READY.findall(metrics)))
