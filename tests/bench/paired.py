"""Our gateway and ONNX Runtime alone, in turns, while the gateway stays up: `python -m tests.bench.paired`.

`tests.bench.serving` compares servers with each other. Beside ONNX Runtime alone that is unfair on a machine that runs
fast for the first seconds after a rest: here both are measured in the same state, again and again. Frames a second are
beside those of its best setting, sessions of one thread; the time of one frame alone is beside that of such a session,
and beside that of one whose threads wait by spinning on all cores, which no server can have that shares them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from service.engine.cores import usable_cores
from tests.bench.serving import bench_model, ours, raw
from tests.bench.serving.artifact import MODEL, write_artifact
from tests.bench.serving.frames import draw, take
from tests.bench.serving.load import Load
from tests.bench.serving.server import Launch, free_port, running

LOADS = {"32 clients × 1 frame": (32, 1), "4 clients × 32 frames": (4, 32)}

Rates = list[tuple[float, float]]
"""Frames a second, turn by turn: ours and of ONNX Runtime alone."""
Times = list[tuple[float, float, float]]
"""Milliseconds of one frame, turn by turn: ours, of a session of one thread, of a session that has all cores."""


def measure(turns: int, seconds: float) -> tuple[dict[str, Rates], Times]:
    """Rates under each load, and times of a caller who is alone."""
    cores = usable_cores()
    (server, _) = ours.servers("")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        artifact = write_artifact(scratch / "models" / "bench", bench_model.SIZES["bench"])
        launch = Launch(Path(), artifact, scratch, free_port(), "cpu", cores, server.settings[0])

        def post(clients: int, frames: int) -> Callable[[], Load]:
            request = server.wire.request("bench", take(draw(frames), 0, frames))
            answer = server.wire.post(launch.port, request)
            return partial(server.wire.load, launch.port, request, answer, clients, seconds, scratch)

        def alone(*setting: int) -> Callable[[], raw.RawResult]:
            return partial(raw.measure, artifact / MODEL, raw.Setting(*setting), "cpu", seconds)

        with running(server, launch):
            best, rates = alone(cores, 1, cores, 8), {}
            for name, (clients, frames) in LOADS.items():
                load = post(clients, frames)
                rates[name] = [_rates(load(), frames, best()) for _ in range(turns + 1)][1:]  # the first turn warms up
            load, one, all_cores = post(1, 1), alone(1, 1, 1, 1), alone(1, cores, 1, 1)
            times = [(faultless(load()).p50_ms, one().p50_ms, all_cores().p50_ms) for _ in range(turns + 1)][1:]
    return rates, times


def _rates(load: Load, frames: int, alone: raw.RawResult) -> tuple[float, float]:
    return faultless(load).requests * frames / load.seconds, alone.frames_per_s


def faultless(load: Load) -> Load:
    """The same. Raises `RuntimeError` where a request failed: then it is no figure."""
    if load.errors:
        raise RuntimeError(f"expected no errors, got {load}")
    return load


def rate_table(rates: dict[str, Rates]) -> str:
    """Markdown: medians, and the share of ONNX Runtime alone."""
    lines = ["| load | ours, frames/s | ONNX Runtime alone | share: median, least to most |", "|---|---|---|---|"]
    for name, turns in rates.items():
        ours_median, raw_median = (median(column) for column in zip(*turns, strict=True))
        shares = _spread([here / there for here, there in turns])
        lines.append(f"| {name} | {ours_median:,.0f} | {raw_median:,.0f} | {shares} |")
    return "\n".join(lines)


def time_table(times: Times) -> str:
    """Markdown: medians, and what is added to ONNX Runtime alone."""
    ours_ms, *alone_ms = zip(*times, strict=True)
    lines = ["| one frame at a time | p50, ms | ours takes more by, ms: median, least to most |", "|---|---|---|"]
    lines.append(f"| ours | {median(ours_ms):.2f} | – |")
    for name, column in zip(("a session of one thread", "a session that spins on all cores"), alone_ms, strict=True):
        more = [here - there for here, there in zip(ours_ms, column, strict=True)]
        lines.append(f"| ONNX Runtime alone, {name} | {median(column):.2f} | {_spread(more)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f}, {min(values):.2f} to {max(values):.2f}"


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.paired", description=__doc__)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=4, help="of each turn of each")
    args = parser.parse_args(argv)
    rates, times = measure(args.turns, args.seconds)
    print(rate_table(rates), time_table(times), sep="\n\n")


if __name__ == "__main__":
    main()
