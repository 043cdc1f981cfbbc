"""LitServe, with and without batches, by either of its queues; threads in place of HTTP processes were not tried."""

from __future__ import annotations

from tests.bench.serving.peers.program import PROGRAMS, environment
from tests.bench.serving.raw_bytes import RawBytes
from tests.bench.serving.server import Server

SERVER = Server(
    "litserve",
    "LitServe, raw bytes, a worker a core",
    RawBytes(),
    lambda launch: [launch.python, PROGRAMS / "litserve_app.py"],
    "/health",
    requirements="lit_serve",
    environment=environment,
    settings=(
        {"rows": "8", "wait_s": "0.001", "fast_queue": "", "servers": "2"},
        {"rows": "8", "wait_s": "0.001", "fast_queue": "yes", "servers": "1"},
        {"rows": "1", "wait_s": "0", "fast_queue": "", "servers": "2"},
        {"rows": "1", "wait_s": "0", "fast_queue": "yes", "servers": "1"},
    ),
)
