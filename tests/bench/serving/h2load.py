"""Load over HTTP/2 by h2load, for gRPC, which wrk does not speak."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from tests.bench.serving.load import Load
from tests.bench.serving.wire import Request

_TIMEOUT_S = 60  # beyond the time of the load
_REQUESTS = re.compile(r"^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed", re.MULTILINE)
_DATA = re.compile(r"^traffic: .*\((\d+)\) data$", re.MULTILINE)


def require() -> None:
    """Raises `RuntimeError` where h2load is not installed."""
    if not shutil.which("h2load"):
        raise RuntimeError(
            "h2load, the load generator for gRPC, is not installed: on Debian and Ubuntu, "
            "apt-get install nghttp2-client"
        )


def run(port: int, request: Request, answer_bytes: int, clients: int, seconds: float, scratch: Path) -> Load:
    """Post the request again and again from so many clients.

    Args:
        answer_bytes: length of a right answer.

    Raises:
        OSError: h2load failed; the message has what it said.
    """
    body, log = scratch / "body.bin", scratch / "requests.tsv"
    body.write_bytes(request.body)
    log.unlink(missing_ok=True)
    command = ["h2load", "--threads=1", f"--clients={clients}", "--max-concurrent-streams=1"]
    command += [f"--duration={math.ceil(seconds)}s", f"--data={body}", f"--log-file={log}"]
    command += [f"--header={name}: {value}" for name, value in request.headers.items()]
    command += [f"http://127.0.0.1:{port}{request.path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _TIMEOUT_S, check=False)
    if done.returncode:
        raise OSError(f"h2load: {done.stderr.strip() or done.stdout.strip()}")
    return parse(done.stdout, log.read_text(), answer_bytes, math.ceil(seconds))


def parse(output: str, log: str, answer_bytes: int, seconds: float) -> Load:
    """What h2load prints at the end, and its log: a line a request with start, status and duration, in µs.

    gRPC says in trailers, which h2load does not read, that a request failed. But then it sends no message, so the bytes
    that came tell how many did not. Raises `OSError` where the output is not understood.
    """
    counts, data = _REQUESTS.search(output), _DATA.search(output)
    if not counts or not data or not log:
        raise OSError(f"h2load: expected requests and traffic, got {output[-500:]!r}")
    done, succeeded, failed = map(int, counts.groups())
    asked, answered = max(done, succeeded + failed), round(int(data[1]) / answer_bytes)
    times_ms = np.array([int(line.split("\t")[2]) for line in log.splitlines()]) / 1e3
    p50, p90, p99 = np.percentile(times_ms, (50, 90, 99))
    return Load(min(asked, answered), seconds, max(0, asked - answered), float(p50), float(p90), float(p99))
