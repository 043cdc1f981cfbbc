"""FastAPI with nothing around it: bytes in, ONNX Runtime, bytes out; a process for each core."""

from __future__ import annotations

from pathlib import Path

from tests.bench.serving.peers.program import PROGRAMS, environment
from tests.bench.serving.raw_bytes import RawBytes
from tests.bench.serving.server import Launch, Server


def _command(launch: Launch) -> list[str | Path]:
    uvicorn: list[str | Path] = [
        launch.python,
        "-m",
        "uvicorn",
        "fastapi_app:app",
        "--app-dir",
        PROGRAMS,
        "--port",
        str(launch.port),
    ]
    return [*uvicorn, "--workers", str(launch.instances), "--no-access-log", "--loop", "uvloop", "--http", "httptools"]


SERVER = Server(
    "fastapi",
    "FastAPI + ORT, raw bytes, a worker a core",
    RawBytes(),
    _command,
    "/ready",
    requirements="fastapi_bytes",
    environment=environment,
    settings=(
        {"run": "thread"},  # requests are read while the model runs
        {"run": "inline"},  # less to do for each, but nothing is read meanwhile
    ),
)
