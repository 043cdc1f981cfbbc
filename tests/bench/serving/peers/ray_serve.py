"""Ray Serve behind HAProxy, its fastest way in: with its own proxy a request takes five times the processor time."""

from __future__ import annotations

from tests.bench.serving.peers.program import PROGRAMS, environment
from tests.bench.serving.raw_bytes import RawBytes
from tests.bench.serving.server import Launch, Server


def _environment(launch: Launch) -> dict[str, str]:
    return {
        **environment(launch),
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_TMPDIR": str(launch.scratch),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


SERVER = Server(
    "ray",
    "Ray Serve, HAProxy, raw bytes, a replica a core",
    RawBytes(),
    lambda launch: [launch.python, PROGRAMS / "ray_app.py"],
    "/ready",
    requirements="ray_serve",
    environment=_environment,
    settings=(
        {"run": "batch"},  # of what has arrived: to wait for more costs latency and gains nothing
        {"run": "inline"},
        {"run": "thread"},
    ),
)
