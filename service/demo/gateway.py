"""A gateway of one's own for as long as a `with` block lasts: the real server, in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.05


class GatewayFailure(Exception):
    """The gateway ended by itself, or never became ready; says where its log is, and how it ends."""


@contextmanager
def running_gateway(models: Path, log: Path) -> Iterator[str]:
    """Run `cellsense serve` with an embedded Redis on a free port until the block is left, whatever leaves it.

    Args:
        models: folder of artifacts.
        log: file for what the server prints.

    Yields:
        Its base URL, once it is ready.

    Raises:
        GatewayFailure: it did not become ready.
    """
    port = _free_port()
    flags = ["--host", "127.0.0.1", "--port", str(port), "--models", str(models), "--redis", "embedded://"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve", *flags],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is ours to pass on
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _await_ready(process, url, log)
        yield url
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    give_up_at = time.monotonic() + READY_TIMEOUT_S
    with httpx.Client(base_url=url, timeout=READY_TIMEOUT_S) as client:
        while time.monotonic() < give_up_at:
            if process.poll() is not None:
                raise GatewayFailure(f"the gateway ended with status {process.returncode}; {_end_of(log)}")
            try:
                if client.get("/readyz").is_success:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(POLL_S)
    raise GatewayFailure(f"the gateway was not ready after {READY_TIMEOUT_S:.0f} s; {_end_of(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and where that does not help end it together with its embedded Redis."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end_of(log: Path, lines: int = 15) -> str:
    end = log.read_text(errors="replace").splitlines()[-lines:]
    return f"{log} ends with:\n" + "\n".join(end)
