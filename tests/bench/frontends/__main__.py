"""HTTP servers for ASGI side by side, with nothing behind them: `python -m tests.bench.frontends`.

A frame of the serving bench, 68,608 bytes, is posted by wrk from 32 clients to an application that reads it and either
gives it back or answers with its length, as short as what a model says. One process each, in turns; medians of rounds.
The servers have an environment of their own in `.bench/`, made on first use from `serving/peers/frontends.txt`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

from tests.bench.serving import environments, wrk
from tests.bench.serving.frames import draw
from tests.bench.serving.http_client import is_ready, post
from tests.bench.serving.machine import describe, warning
from tests.bench.serving.raw_bytes import RawBytes
from tests.bench.serving.server import free_port, started
from tests.bench.serving.wire import Request

_HOME = Path(__file__).resolve().parents[3] / ".bench"
_CLIENTS = 32
_PATHS = {"/echo": "gives the frame back", "/length": "answers shortly"}


def _uvicorn(http: str, loop: str, port: int) -> list[str]:
    told = ["--http", http, "--loop", loop, "--no-access-log", "--log-level", "warning", "--lifespan", "off"]
    return ["-m", "uvicorn", "echo:app", "--port", str(port), *told]


def _granian(mode: str, loop: str, port: int) -> list[str]:
    told = ["--interface", "asginl", "--runtime-mode", mode, "--loop", loop, "--no-ws", "--log-level", "warning"]
    return ["-m", "granian", "echo:app", "--port", str(port), *told]


SERVERS: dict[str, Callable[[int], list[str]]] = {
    **{f"uvicorn, {h}, {lo}": partial(_uvicorn, h, lo) for h in ("h11", "httptools") for lo in ("asyncio", "uvloop")},
    **{f"granian, runtime {m}, {lo}": partial(_granian, m, lo) for m in ("st", "mt") for lo in ("asyncio", "uvloop")},
}
"""Arguments of Python that start each on a port."""


@dataclass(frozen=True)
class Measurement:
    """Of one server and path in one round."""

    round: int
    server: str
    path: str
    requests_per_s: float
    cpu_us: float  # of a request, of all its processes
    p50_ms: float
    p99_ms: float
    errors: int


def measure(number: int, server: str, python: Path, seconds: float, warm_s: float) -> list[Measurement]:
    """One round of one server.

    Raises:
        RuntimeError: it did not start.
        OSError, ValueError: it does not answer, or not right.
    """
    found, port = [], free_port()
    body = RawBytes().request("", draw(1)).body
    command = [python, *SERVERS[server](port)]
    with tempfile.TemporaryDirectory() as folder:
        scratch, ready = Path(folder), partial(is_ready, port, "/")
        with started(server, command, {}, ready, scratch / "log.txt", Path(__file__).parent) as tree:
            for path in _PATHS:
                request = Request(path, body)
                answer = post(port, request).body
                if answer != (body if path == "/echo" else b"%d" % len(body)):
                    raise ValueError(f"{server}: {path}: got another answer than expected, of {len(answer)} bytes")
                wrk.run(port, request, _CLIENTS, warm_s, scratch)
                used_s = tree.cpu_s()
                load = wrk.run(port, request, _CLIENTS, seconds, scratch)
                used_s = tree.cpu_s() - used_s
                if not load.requests:
                    raise OSError(f"{server}: {path}: no request was answered, {load.errors} failed")
                rate, cost_us = load.requests / load.seconds, 1e6 * used_s / load.requests
                found.append(Measurement(number, server, path, rate, cost_us, load.p50_ms, load.p99_ms, load.errors))
    return found


def table(found: Sequence[Measurement]) -> str:
    """Markdown, the server that costs least first."""
    paths = "".join(f" {title}: frames/s | µs of CPU | p50, p99 |" for title in _PATHS.values())
    rows = {server: _row(found, server) for server in dict.fromkeys(one.server for one in found)}
    order = sorted(rows, key=lambda server: rows[server][0])
    lines = [
        f"| {server} |{rows[server][1]} {sum(one.errors for one in found if one.server == server)} |"
        for server in order
    ]
    return "\n".join([f"| server |{paths} errors |", f"|{' --- |' * (3 * len(_PATHS) + 2)}", *lines])


def _row(found: Sequence[Measurement], server: str) -> tuple[float, str]:
    """What the server costs in all, and its cells."""
    cost_us, cells = 0.0, ""
    for path in _PATHS:
        seen = [one for one in found if (one.server, one.path) == (server, path)]
        cpu_us = median(one.cpu_us for one in seen)
        times = f"{median(one.p50_ms for one in seen):.1f} ms, {median(one.p99_ms for one in seen):.1f} ms"
        cells += f" {median(one.requests_per_s for one in seen):,.0f} | {cpu_us:.0f} | {times} |"
        cost_us += cpu_us
    return cost_us, cells


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 only where every server answered everything."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.frontends",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each load")
    parser.add_argument("--json", type=Path, default=_HOME / "out" / "frontends.json", help="file of the figures")
    args = parser.parse_args(argv)
    machine, found = describe([], None), []
    try:
        wrk.require()
        python = environments.python_for("frontends", None, _HOME / "environments")
        for number in range(1, args.rounds + 1):
            for server in SERVERS:
                print(f"round {number}: {server}", file=sys.stderr, flush=True)
                found += measure(number, server, python, args.seconds, 1)
    except (OSError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    args.json.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "arguments": vars(args), "measurements": [asdict(one) for one in found]}
    args.json.write_text(json.dumps(content, indent=1, default=str) + "\n")
    print(table(found))
    rounds = f"{args.rounds} round{'s' * (args.rounds > 1)} of {args.seconds} s"
    print(f"\n{machine['cores']} cores of {machine['cpu']}; medians of {rounds}; {machine['date']}")
    print(warning(machine), end="")
    return 1 if any(one.errors for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
