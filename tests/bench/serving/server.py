"""What there is to know about a server, and how it is started, waited for and stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.serving.http_client import is_ready
from tests.bench.serving.process_tree import MARK, ProcessTree
from tests.bench.serving.wire import Wire

Setting = Mapping[str, str]
_START_S = 120.0
_LOG_TAIL = 1500


@dataclass(frozen=True)
class Launch:
    """What a server is told when it is started.

    Attributes:
        python: interpreter of the environment that has what the server needs.
        artifact: folder of the only model to serve, in a folder of its own.
        scratch: an empty folder for what the server needs to write.
        instances: runs of the model that the machine can do at the same time.
        setting: one of the server's.
    """

    python: Path
    artifact: Path
    scratch: Path
    port: int
    provider: str
    instances: int
    setting: Setting


@dataclass(frozen=True)
class Server:
    """One row of the table.

    Attributes:
        requirements: name of its file in `peers/`, empty where it runs in the environment of the bench.
        command: what starts it; it may write into the scratch folder first.
        environment: variables to add.
        ready: path that answers a GET with 200 once the model, whose name stands for `{model}`, is served.
        all_ready: says whether all processes are as ready as the one that answered that.
        port_offset: port of the wire, from that of the launch, which is the port of HTTP.
        settings: those worth a try; the first is taken where none is tried.
    """

    name: str
    title: str
    wire: Wire
    command: Callable[[Launch], Sequence[str | Path]]
    ready: str
    all_ready: Callable[[Launch], bool] = lambda launch: True
    requirements: str = ""
    port_offset: int = 0
    environment: Callable[[Launch], Mapping[str, str]] = lambda launch: {}
    settings: Sequence[Setting] = ({},)
    ours: bool = False


@contextmanager
def running(server: Server, launch: Launch) -> Iterator[ProcessTree]:
    """The processes of a server that is ready; they end with the context.

    Raises:
        RuntimeError: it did not become ready; the message has the end of its log.
    """
    path = server.ready.format(model=launch.artifact.name)

    def ready() -> bool:
        return is_ready(launch.port, path) and server.all_ready(launch)

    folder = None if server.ours else launch.scratch
    with started(
        server.name, server.command(launch), server.environment(launch), ready, launch.scratch / "log.txt", folder
    ) as tree:
        yield tree


@contextmanager
def started(
    name: str,
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    ready: Callable[[], bool],
    log: Path,
    folder: Path | None = None,
) -> Iterator[ProcessTree]:
    """The processes of a command once it is ready; see `running`.

    Args:
        environment: variables to add.
        folder: where it runs; here by default.
    """
    mark = uuid.uuid4().hex
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **environment, MARK: mark},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    tree = ProcessTree(process.pid, mark)
    try:
        _wait_until_ready(name, ready, process, log)
        yield tree
    finally:
        tree.stop()
        process.wait()


def free_port() -> int:
    """A TCP port that nobody listens on, nor on the one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def _wait_until_ready(name: str, ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not ready():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            what = f"ended with status {process.returncode}" if ended else f"was not ready within {_START_S:.0f} s"
            raise RuntimeError(f"{name} {what}: {log.read_text(errors='replace')[-_LOG_TAIL:].strip()}")
        time.sleep(0.1)
