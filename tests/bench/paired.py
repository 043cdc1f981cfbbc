"""Our gateway and ONNX Runtime alone, in turns, while the gateway stays up: `python -m tests.bench.paired`.

`tests.bench.serving` compares servers with each other. Beside ONNX Runtime alone that is unfair on a machine that runs
fast for the first seconds after a rest: here both are measured in the same state, again and again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from service.engine.cores import usable_cores
from tests.bench.serving import bench_model, ours, raw
from tests.bench.serving.artifact import MODEL, write_artifact
from tests.bench.serving.frames import draw, take
from tests.bench.serving.server import Launch, free_port, running

LOADS = {"32 clients × 1 frame": (32, 1), "4 clients × 32 frames": (4, 32)}


def measure(turns: int, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """Frames a second of ours and of ONNX Runtime alone, turn by turn, for each load."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LOADS}
    cores = usable_cores()
    alone = raw.Setting(sessions=cores, intra_op=1, callers=cores, batch=8)
    (server, _) = ours.servers("")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        artifact = write_artifact(scratch / "models" / "bench", bench_model.SIZES["bench"])
        launch = Launch(Path(), artifact, scratch, free_port(), "cpu", cores, server.settings[0])
        with running(server, launch):
            for name, (clients, frames) in LOADS.items():
                request = server.wire.request("bench", take(draw(frames), 0, frames))
                answer = server.wire.post(launch.port, request)
                for turn in range(turns + 1):
                    load = server.wire.load(launch.port, request, answer, clients, seconds, scratch)
                    assert not load.errors, load
                    rate = raw.measure(artifact / MODEL, alone, "cpu", seconds).frames_per_s
                    if turn:  # the first turn warms up
                        found[name].append((load.requests * frames / load.seconds, rate))
    return found


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.paired", description=__doc__)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=4, help="of each turn of each")
    args = parser.parse_args(argv)
    print("| load | ours, frames/s | ONNX Runtime alone | share: median, least to most |\n|---|---|---|---|")
    for name, turns in measure(args.turns, args.seconds).items():
        shares = sorted(here / there for here, there in turns)
        here, there = (median(rates) for rates in zip(*turns, strict=True))
        spread = f"{shares[0]:.2f} to {shares[-1]:.2f}"
        print(f"| {name} | {here:,.0f} | {there:,.0f} | {median(shares):.2f}, {spread} |")


if __name__ == "__main__":
    main()
