"""Load on every interface for a long time: are there errors, and does memory grow?

    python -m tests.bench.soak --minutes 10

One gateway answers OIP over HTTP and gRPC and `/v1/sense` in MessagePack and JSON at the same time, from clients that
ask as fast as they are answered, which keeps the machine full. Every answer is looked at. The memory of its processes
that no file backs is read every two seconds; the first minute, or half of a shorter time, is warm-up. Answers that wait
for labels are kept for 20 s in place of 300, so that they are as many at the end of the warm-up as ever after. Exit
status 1 where a request failed or memory grew.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

from service.settings import Settings
from tests.bench import gateway
from tests.bench.serving import bench_model, wrk
from tests.bench.serving.artifact import write_artifact
from tests.bench.serving.load import Load
from tests.bench.serving.machine import describe
from tests.bench.serving.process_tree import Memory, ProcessTree, together
from tests.bench.soak import picture
from tests.bench.soak.growth import CRITERION, Growth, growth
from tests.bench.soak.interfaces import Interface, interfaces

_HOME = Path(__file__).resolve().parents[3] / ".bench"
_SAMPLE_S = 2.0
_WARM_S = 60.0
_LABELS = ("--label-ttl-s", "20")


@dataclass(frozen=True)
class Soak:
    """What was seen: loads by title, and memory over time, of all processes together and of each."""

    loads: dict[str, Load]
    times_s: list[float]
    memory: list[Memory]
    of_each: list[dict[str, Memory]]


def soak(ways: Sequence[Interface], tree: ProcessTree, seconds: float, scratch: Path) -> Soak:
    """Ask by all interfaces at once. Raises `OSError` where a load generator fails."""
    times_s: list[float] = []
    of_each: list[dict[str, Memory]] = []
    began_s = time.monotonic()
    with ThreadPoolExecutor(len(ways)) as threads:
        running = [threads.submit(way.load, seconds, _folder(scratch, str(n))) for n, way in enumerate(ways)]
        while not wait(running, _SAMPLE_S, FIRST_COMPLETED).done:
            times_s.append(time.monotonic() - began_s)
            of_each.append(tree.memory_of_each())
        loads = [future.result() for future in running]
    memory = [together(each) for each in of_each]
    return Soak(dict(zip((way.title for way in ways), loads, strict=True)), times_s, memory, of_each)


def table(ways: Sequence[Interface], seen: Soak, line: Growth) -> str:
    """Markdown, and what it says of memory."""
    lines = ["| interface | requests | frames/s | p50, p99 | errors |", "| --- | --- | --- | --- | --- |"]
    for way in ways:
        load = seen.loads[way.title]
        rate = load.requests * way.frames / load.seconds
        times = f"{load.p50_ms:.0f} ms, {load.p99_ms:.0f} ms"
        lines.append(f"| {way.title} | {load.requests:,} | {rate:,.0f} | {times} | {load.errors:,} |")
    lines += [f"\n{title}: {load.reason}" for title, load in seen.loads.items() if load.reason]
    requests = sum(load.requests for load in seen.loads.values())
    share = (line.to_s - line.from_s) / max(load.seconds for load in seen.loads.values())
    lines.append(
        f"\nMemory {'is flat' if line.flat else 'GROWS'}: {line.median_mib:,.0f} MiB that no file backs in the median, "
        f"{line.rise_mib:+.1f} MiB over {(line.to_s - line.from_s) / 60:.1f} minutes, "
        f"{line.rise_mib * 2**20 / max(1, requests * share):+.0f} bytes a request ({CRITERION})"
    )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 only where no request failed and memory is flat."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=4, help="of each interface")
    parser.add_argument("--artifact", type=Path, default=Settings.model_fields["models"].default / "gated-fusion")
    parser.add_argument("--arguments", default="", help="of `cellsense serve`: --arguments='--workers 2'")
    parser.add_argument("--out", type=Path, default=_HOME / "out", help="folder of soak.png and soak.json")
    args = parser.parse_args(argv)
    machine, seconds = describe([], None), 60 * args.minutes
    try:
        wrk.require()
        artifacts = [write_artifact(_HOME / "models" / "bench", bench_model.BENCH), args.artifact]
        with (
            gateway.serving(artifacts, [*_LABELS, *args.arguments.split()]) as served,
            tempfile.TemporaryDirectory() as scratch,
        ):
            ways = interfaces(served, args.artifact, bench_model.BENCH.name, args.clients)
            seen = soak(ways, served.tree, seconds, Path(scratch))
        line = growth(seen.times_s, [one.own_mib for one in seen.memory], min(_WARM_S, seconds / 2))
    except (OSError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table(ways, seen, line))
    args.out.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "arguments": vars(args), "growth": asdict(line), "seen": asdict(seen)}
    (args.out / "soak.json").write_text(json.dumps(content, indent=1, default=str) + "\n")
    note = f"{sum(load.requests for load in seen.loads.values()):,} requests, {len(ways)} interfaces at once"
    picture.draw(args.out / "soak.png", seen.times_s, seen.memory, line, f"{note}; {machine['date']}")
    print(f"{args.out / 'soak.png'}, {args.out / 'soak.json'}")
    return 0 if line.flat and not any(load.errors for load in seen.loads.values()) else 1


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


if __name__ == "__main__":
    sys.exit(main())
