"""One server's turn: start it with one model, see that it answers right, load it, stop it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.serving import environments
from tests.bench.serving.artifact import MODEL
from tests.bench.serving.correctness import check
from tests.bench.serving.frames import Arrays, draw, take
from tests.bench.serving.measurements import FULL_BATCH, Cell, Measurement
from tests.bench.serving.process_tree import ProcessTree, peak_memory
from tests.bench.serving.raw_run import open_session
from tests.bench.serving.server import Launch, Server, Setting, free_port, running
from tests.bench.serving.wire import Answer


@dataclass(frozen=True)
class Bench:
    """What all turns share.

    Attributes:
        artifacts: folder of each model by name.
        expected: what the models say to `frames`, by name.
        seconds: of each load; `warm_s` of the one before it that does not count.
        environments: folder that keeps those of the peers.
    """

    artifacts: dict[str, Path]
    frames: Arrays
    expected: dict[str, Arrays]
    provider: str
    instances: int
    seconds: float
    warm_s: float
    environments: Path


def prepare(
    artifacts: dict[str, Path], provider: str, instances: int, seconds: float, warm_s: float, environments: Path
) -> Bench:
    """Draw frames and ask ONNX Runtime itself. Raises `RuntimeError` where the provider cannot be had."""
    frames, expected = draw(FULL_BATCH), {}
    for name, folder in artifacts.items():
        session = open_session(folder / MODEL, provider, intra_op=1)
        names = [output.name for output in session.get_outputs()]
        expected[name] = dict(zip(names, session.run(names, frames), strict=True))
    return Bench(artifacts, frames, expected, provider, instances, seconds, warm_s, environments)


def take_turn(
    bench: Bench, server: Server, setting: Setting, number: int, cells: Sequence[Cell]
) -> Iterator[Measurement]:
    """Measure cells of one model.

    Raises:
        RuntimeError: the server did not start.
        OSError, ValueError: it does not answer, or not right.
    """
    (model,) = {cell.model for cell in cells}
    python = environments.python_for(server.requirements, bench.provider, bench.environments)
    with tempfile.TemporaryDirectory() as folder:
        scratch, servers_own = Path(folder), Path(folder) / "server"
        servers_own.mkdir()
        artifact = bench.artifacts[model]
        launch = Launch(python, artifact, servers_own, free_port(), bench.provider, bench.instances, setting)
        with running(server, launch) as tree:
            port = launch.port + server.port_offset
            answers = check(server.wire, port, model, bench.frames, bench.expected[model], bench.provider)
            for cell in cells:
                yield _measure(bench, server, tree, port, number, cell, answers[cell.frames], scratch)


def _measure(
    bench: Bench, server: Server, tree: ProcessTree, port: int, number: int, cell: Cell, answer: Answer, scratch: Path
) -> Measurement:
    request = server.wire.request(cell.model, take(bench.frames, 0, cell.frames))
    server.wire.load(port, request, answer, cell.clients, bench.warm_s, scratch)
    used_s = tree.cpu_s()
    with peak_memory(tree) as peak:
        load = server.wire.load(port, request, answer, cell.clients, bench.seconds, scratch)
    used_s = tree.cpu_s() - used_s
    memory, frames = peak(), load.requests * cell.frames
    if not frames:
        raise OSError(f"{cell}: no request was answered, {load.errors} failed")
    return Measurement(
        number,
        server.name,
        cell,
        frames / load.seconds,
        load.p50_ms,
        load.p90_ms,
        load.p99_ms,
        load.errors,
        1e3 * used_s / frames,
        memory.rss_mib,
        memory.pss_mib,
    )
