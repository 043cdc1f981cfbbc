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
        port_offset: port of the wire, from that of the launch, which is the port of HTTP.
        settings: those worth a try; the first is taken where none is tried.
    """

    name: str
    title: str
    wire: Wire
    command: Callable[[Launch], Sequence[str | Path]]
    ready: str
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
    mark, log = uuid.uuid4().hex, launch.scratch / "log.txt"
    environment = {**os.environ, **server.environment(launch), MARK: mark}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in server.command(launch)],
            env=environment,
            cwd=None if server.ours else launch.scratch,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    tree = ProcessTree(process.pid, mark)
    try:
        _wait_until_ready(server, launch, process, log)
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


def _wait_until_ready(server: Server, launch: Launch, process: subprocess.Popen[bytes], log: Path) -> None:
    path = server.ready.format(model=launch.artifact.name)
    deadline = time.monotonic() + _START_S
    while not is_ready(launch.port, path):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            what = f"ended with status {process.returncode}" if ended else f"was not ready within {_START_S:.0f} s"
            raise RuntimeError(f"{server.name} {what}: {log.read_text(errors='replace')[-_LOG_TAIL:].strip()}")
        time.sleep(0.1)
