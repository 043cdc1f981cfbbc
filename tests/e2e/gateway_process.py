"""`cellsense serve` as a process of its own, on a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
ROOT = Path(__file__).resolve().parents[2]


class Served:
    """A running gateway: its process, its address, what it has logged."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.address = ("127.0.0.1", port)
        self.url = f"http://127.0.0.1:{port}"
        self.log = log

    def wait_for(self, path: str, status: int) -> httpx.Response:
        """Ask again until the answer has that status."""
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up_at:
            assert self.process.poll() is None, self.log.read_text()
            try:
                response = httpx.get(self.url + path)
            except httpx.TransportError:
                time.sleep(0.02)  # not listening yet
                continue
            if response.status_code == status:
                return response
            time.sleep(0.02)
        raise AssertionError(f"{path} did not answer {status}: {self.log.read_text()}")


@contextmanager
def serving(
    log: Path,
    *flags: str,
    program: Sequence[str] = ("-m", "service.cli"),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """Start the gateway, in this environment and more, and, unless the test has ended it, kill it in the end."""
    port = free_port()
    command = [sys.executable, *program, "serve", "--port", str(port), "--deadline-s", "30", *flags]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield Served(process, port, log)
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_S)


def post_head(length: int) -> bytes:
    """Of a request whose body, of so many bytes, is still to come."""
    lines = (
        "POST /v1/sense HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
