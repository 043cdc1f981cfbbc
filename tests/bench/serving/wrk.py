"""Load over HTTP/1.1 by wrk, which costs little processor time itself: one thread, connections kept open."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path

from tests.bench.serving.load import Load
from tests.bench.serving.wire import Request

_SCRIPT = Path(__file__).with_name("post.lua")
_MARK, _REASON = "BENCH ", "REASON "
_FAILURES = ("connect", "read", "write", "status", "timeout", "refused")
_TIMEOUT_S = 30  # of one request


def require() -> None:
    """Raises `RuntimeError` where wrk is not installed."""
    if not shutil.which("wrk"):
        raise RuntimeError("wrk, the load generator, is not installed: on Debian and Ubuntu, apt-get install wrk")


def run(port: int, request: Request, clients: int, seconds: float, scratch: Path) -> Load:
    """Post the request again and again from so many clients, for a whole number of seconds.

    Raises:
        OSError: wrk failed; the message has what it said.
    """
    body, headers = scratch / "body.bin", scratch / "headers.txt"
    body.write_bytes(request.body)
    headers.write_text(header_lines(request))
    return run_script(_SCRIPT, port, request.path, clients, seconds, body, headers)


def header_lines(request: Request) -> str:
    """The headers as the scripts read them."""
    return "".join(f"{name}: {value}\n" for name, value in request.headers.items())


def run_script(script: Path, port: int, path: str, clients: int, seconds: float, *arguments: object) -> Load:
    """Run a script of wrk that ends as `report.lua` does. Raises `OSError` where that fails."""
    command = ["wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{math.ceil(seconds)}s"]
    command += ["--timeout", f"{_TIMEOUT_S}s", "--script", str(script)]
    command += [f"http://127.0.0.1:{port}{path}", "--", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 2 * _TIMEOUT_S, check=False)
    if done.returncode:
        raise OSError(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    return parse(done.stdout)


def parse(output: str) -> Load:
    """The line that `report.lua` writes at the end. Raises `OSError` where there is none."""
    line = next((line for line in output.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        raise OSError(f"wrk: expected a line that starts with {_MARK!r}, got {output[-300:]!r}")
    seen = json.loads(line.removeprefix(_MARK))
    return Load(
        requests=seen["requests"] - seen["status"] - seen["refused"],  # it counts as answered what was an error
        seconds=seen["duration_us"] / 1e6,
        errors=sum(seen[kind] for kind in _FAILURES),
        p50_ms=seen["p50_us"] / 1e3,
        p90_ms=seen["p90_us"] / 1e3,
        p99_ms=seen["p99_us"] / 1e3,
        reason=next((line.removeprefix(_REASON) for line in output.splitlines() if line.startswith(_REASON)), ""),
    )
