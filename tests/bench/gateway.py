"""The gateway of this repository as a process, for the benches that ask all of it and not one model."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.serving.gateway_ready import all_ready
from tests.bench.serving.process_tree import ProcessTree
from tests.bench.serving.server import free_port, started


@dataclass(frozen=True)
class Gateway:
    """A gateway that is ready: its ports and its processes."""

    port: int
    grpc_port: int
    tree: ProcessTree


@contextmanager
def serving(artifacts: Sequence[Path], arguments: Sequence[str] = ()) -> Iterator[Gateway]:
    """`cellsense serve` on these artifacts alone, on both protocols, with more arguments.

    Raises:
        RuntimeError: it did not become ready; the message has the end of its log.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        models.mkdir()
        for artifact in artifacts:
            (models / artifact.name).symlink_to(artifact.resolve(), target_is_directory=True)
        command = [sys.executable, "-m", "service.cli", "serve", "--models", str(models), "--log-level", "warning"]
        ports = ["--port", str(port), "--grpc-port", str(port + 1)]
        ready = partial(all_ready, port, arguments)
        with started("cellsense", [*command, *ports, *arguments], {}, ready, Path(folder) / "log.txt") as tree:
            yield Gateway(port, port + 1, tree)
