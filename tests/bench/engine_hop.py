"""What it costs to reach an engine in another process: `python -m tests.bench.engine_hop`.

The same callers ask the same graph twice: by the runner of this process, and by shared memory and a socket in another
process. *nothing* answers at once with zeros, so that only the way there and back is left; *bench* and *tiny* are the
models of the serving benchmark. Processor time is that of both processes, user and system, and includes the callers.
What the processes hold in memory is measured by `tests.bench.memory`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import psutil
import uvloop

from service.engine.protocol import Engine, Inputs, Outputs, Plan
from service.metrics import Metrics
from service.remote.link import EngineLink
from service.remote.messages import Served
from service.remote.mirror import Mirror
from service.remote.server import EngineServer
from service.runner.graph_runner import GraphRunner
from service.runner.repository import Repository
from service.runner.runner import Runner
from service.serving.line import Line
from service.telemetry.logs import configure_logs
from tests.bench.serving.artifact import write_artifact
from tests.bench.serving.bench_model import SIZES
from tests.bench.serving.tensors import INPUTS, OUTPUTS
from tests.service.serving.forked import forked

MIB = 1 << 20
CALLERS = (1, 32)
WARM_S = 0.3
MODELS = ("nothing", "tiny", "bench")


@dataclass(frozen=True)
class Measured:
    """Of one way to ask."""

    p50_us: float
    p99_us: float
    cpu_us: float
    frames_per_s: float


class Nothing:
    """An engine that answers at once."""

    def __init__(self, engine: Engine) -> None:
        self.manifest, self.name, self.providers = engine.manifest, engine.name, engine.providers

    def plan(self, graph: str) -> Plan:
        return Plan(sessions=1, rows=64)

    def warm_up(self) -> None:
        pass

    def run(self, graph: str, inputs: Inputs) -> Outputs:
        rows = len(inputs[INPUTS[0].name])
        return {spec.name: np.zeros((rows, *spec.shape[1:]), spec.dtype) for spec in OUTPUTS}


def repository(folder: Path, model: str, changed: Callable[[], None] = lambda: None) -> Repository:
    """A repository with one model."""
    from service.engine.onnx_engine import OnnxEngine  # see `in_a_process_of_its_own`

    loaded: Engine = OnnxEngine.load(folder / ("bench" if model == "bench" else "tiny"))
    engine = Nothing(loaded) if model == "nothing" else loaded
    compute = Metrics().compute
    made = Repository(
        folder, None, lambda engine: {"model": GraphRunner(engine, "model", compute, max_queue_rows=1024)}, changed
    )
    made.add(engine)
    return made


async def measure(runner: Runner, callers: int, seconds: float, cpu_s: Callable[[], float]) -> Measured:
    """Ask for so many seconds."""
    rng = np.random.default_rng(0)
    inputs = {s.name: rng.integers(0, 200, (1, *s.shape[1:])).astype(s.dtype) for s in INPUTS}
    took_s: list[float] = []

    async def ask_until(end_s: float) -> None:
        while (now_s := time.perf_counter()) < end_s:
            await runner.submit(inputs, time.monotonic() + 10)
            took_s.append(time.perf_counter() - now_s)

    await asyncio.gather(*(ask_until(time.perf_counter() + WARM_S) for _ in range(callers)))
    took_s.clear()
    begun_s, begun_cpu_s = time.perf_counter(), cpu_s()
    await asyncio.gather(*(ask_until(begun_s + seconds) for _ in range(callers)))
    passed_s, used_s = time.perf_counter() - begun_s, cpu_s() - begun_cpu_s
    ordered = sorted(took_s)
    return Measured(
        statistics.median(ordered) * 1e6,
        ordered[int(len(ordered) * 0.99)] * 1e6,
        used_s / len(took_s) * 1e6,
        len(took_s) / passed_s,
    )


async def here(folder: Path, model: str, callers: int, seconds: float) -> Measured:
    """By the runner of this process."""
    models = repository(folder, model)
    await models.warm_up()
    found = await measure(models.ready()[0], callers, seconds, time.process_time)
    await models.close()
    return found


async def there(folder: Path, model: str, callers: int, seconds: float) -> Measured:
    """By that of another one."""
    reception, door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (reception, door):
        end.setblocking(False)
    child = forked("bench-model", lambda line: serve(folder, model, reception))
    mirror = Mirror(folder, EngineLink(door, 256 * MIB), Served([], ready=False))
    ready = asyncio.Event()
    mirror.start(lambda is_ready: ready.set() if is_ready else None)
    await ready.wait()
    process = psutil.Process(child.pid)

    def cpu_s() -> float:
        times = process.cpu_times()
        return float(time.process_time() + times.user + times.system)

    try:
        return await measure(mirror.ready()[0], callers, seconds, cpu_s)
    finally:
        await mirror.close()
        child.terminate()
        child.end(10.0)


def serve(folder: Path, model: str, reception: socket.socket) -> int:
    """Be the engine."""

    async def run() -> None:
        models = repository(folder, model, lambda: server.tell())
        server = EngineServer(models, {})
        server.start(reception)
        await models.warm_up()
        server.set_ready()
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    return 0


def compare_hops(folder: Path, rounds: int, seconds: float) -> None:
    """Print a table: medians of rounds."""
    print("| model | callers | way | p50 µs | p99 µs | CPU µs a frame | frames/s |\n|---|---|---|---|---|---|---|")
    for model in MODELS:
        for callers in CALLERS:
            ways: dict[str, list[Measured]] = {way: [] for way in WAYS}
            for _ in range(rounds):
                for way, measured in ways.items():
                    measured.append(in_a_process_of_its_own(way, folder, model, callers, seconds))
            for way, measured in ways.items():
                figures = [statistics.median(each) for each in zip(*map(astuple, measured), strict=True)]
                print(f"| {model} | {callers} | {way} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |")


def in_a_process_of_its_own(way: str, folder: Path, model: str, callers: int, seconds: float) -> Measured:
    """Ask from a process that has never loaded ONNX Runtime: a fork beside its threads might not run."""

    def ask(line: Line) -> int:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            line.say(json.dumps(astuple(runner.run(WAYS[way](folder, model, callers, seconds)))).encode())
        return 0

    child = forked("bench-callers", ask)
    while not (told := child.hear()):
        if child.exit_status:
            raise RuntimeError(f"{way}: expected figures, got the exit status {child.exit_status}")
        time.sleep(0.05)
    child.end(10.0)
    return Measured(*json.loads(told[0]))


WAYS = {"in this process": here, "in another": there}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    configure_logs("error", None)
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES.values():
            write_artifact(Path(folder), size)
        compare_hops(Path(folder), options.rounds, options.seconds)


if __name__ == "__main__":
    main()
