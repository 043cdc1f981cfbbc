"""The gateway as several processes behind one port, and one with the models for all of them.

This process watches them and answers no request itself. It imports what they need and forks them, so that they share
that memory. The gateways share one engine, one Redis, and one folder for their metrics. A process that dies is
replaced; one that cannot start ends them all. When this process dies, so do they.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

import msgspec
import structlog
import uvicorn

from service.api.app import create_app
from service.engine.cores import usable_cores
from service.metrics import Seat
from service.remote.link import EngineLink
from service.remote.messages import Served
from service.remote.mirror import Mirror
from service.serving.children import Child, Line, prepare_to_fork, wait
from service.serving.garbage import collect_seldom
from service.serving.memory import keep_freed_memory
from service.serving.server import CANNOT_START, FAILED, bound_port, server_config
from service.settings import Settings
from service.telemetry.logs import configure_logs
from service.telemetry.tracing import make_tracer
from service.trajectory.connection import EMBEDDED_URL
from service.trajectory.embedded import EmbeddedRedis

PATROL_S = 1.0
RESTART_S = 1.0  # between two starts of an engine: one that dies at once shall not keep the machine busy
AFTER_DRAIN_S = 10.0  # beyond what requests in flight may take, until a process that does not end is killed

_SERVER = (
    "service.serving.express",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.websockets.auto",
)
_GRPC = ("service.rpc.server", "service.rpc.servicer")  # an extra

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def run_workers(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; answer with the exit status. Raises `BufferUnavailable`."""
    configure_logs(settings.log_level, settings.log_format)
    threads = settings.threads or max(1, usable_cores() // settings.workers)
    with _redis(settings.redis) as (redis, leave), tempfile.TemporaryDirectory(prefix="cellsense-metrics-") as folder:
        shared = settings.model_copy(update={"redis": redis, "threads": threads})
        return _Supervisor(shared, Path(folder), leave).run()


class _Supervisor:
    """Starts the engine, then the gateways, and replaces what dies."""

    def __init__(self, settings: Settings, folder: Path, leave: Callable[[], None]) -> None:
        self._settings, self._folder, self._leave = settings, folder, leave
        self._reception, self._door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._reception, self._door):
            end.setblocking(False)
        self._port: socket.socket
        self._engine: Child | None = None
        self._engine_at_s = -RESTART_S
        self._served: Served | None = None
        self._gateways: list[Child] = []
        self._ending = False
        self._failed = False

    def run(self) -> int:
        with _signals(self._end) as wake:
            _import_the_rest(self._settings)
            # Bound here, so that all gateways accept from one queue.
            self._port = bound_port(self._settings)
            prepare_to_fork()
            while not self._ending:
                self._patrol()
                wait(self._children(), wake, PATROL_S)
            self._stop()
        return FAILED if self._failed else 0

    def _end(self) -> None:
        self._ending = True

    def _fail(self) -> None:
        self._ending = self._failed = True

    def _children(self) -> list[Child]:
        return [*self._gateways, *([] if self._engine is None else [self._engine])]

    def _patrol(self) -> None:
        for child in self._children():
            told = child.hear()
            child.kill_if_silent()
            if child is self._engine:
                for content in told:
                    self._learn(msgspec.msgpack.decode(content, type=Served))
        for child in self._children():
            if child.exit_status is not None:
                self._bury(child)
        if self._ending:
            return
        if self._engine is None and time.monotonic() - self._engine_at_s >= RESTART_S:
            self._engine_at_s = time.monotonic()
            self._engine = self._start("cellsense-model", self._run_engine)
        while self._served is not None and len(self._gateways) < self._settings.workers:
            self._gateways.append(self._start("cellsense-http", partial(self._run_gateway, self._served)))

    def _learn(self, served: Served) -> None:
        """The engine has loaded its models."""
        if self._served is not None and _identity(served) != _identity(self._served):
            log.warning("The artifacts have changed since the service started: every gateway is replaced")
            for gateway in self._gateways:
                gateway.terminate()
        self._served = served

    def _bury(self, child: Child) -> None:
        child.end(0)
        if child is self._engine:
            self._engine = None
        else:
            self._gateways.remove(child)
        if child.exit_status == CANNOT_START:
            log.error("A process could not start: the service ends", process=child.name, pid=child.pid)
            self._fail()
        else:
            log.warning("A process has ended", process=child.name, pid=child.pid, status=child.exit_status)

    def _stop(self) -> None:
        """End all of it: the gateways first, which need the engine to the last."""
        grace_s = self._settings.drain_s + AFTER_DRAIN_S
        for gateway in self._gateways:
            gateway.terminate()
        for gateway in self._gateways:
            gateway.end(grace_s)
        if self._engine is not None:
            self._engine.terminate()
            self._engine.end(AFTER_DRAIN_S)

    def _start(self, name: str, run: Callable[[Line], int]) -> Child:
        # The folder is removed by this process, unless it is killed.
        orphaned = partial(shutil.rmtree, self._folder, ignore_errors=True)
        return Child(name, run, self._children(), orphaned)

    def _run_engine(self, line: Line) -> int:
        self._leave()
        self._port.close()
        self._door.close()
        from service.serving.engine import run_engine  # with ONNX Runtime

        return run_engine(self._settings, self._folder, self._reception, line)

    def _run_gateway(self, served: Served, line: Line) -> int:
        self._leave()
        self._reception.close()
        return _Gateway(self._settings, self._folder, self._port, self._door, served).run(line)


class _Gateway:
    """In a process of its own."""

    def __init__(
        self, settings: Settings, folder: Path, port: socket.socket, door: socket.socket, served: Served
    ) -> None:
        self._settings, self._folder, self._port, self._door, self._served = settings, folder, port, door, served

    def run(self, line: Line) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            # The server handles the signal, ends in order, and then raises it again: this is what it then meets.
            signal.signal(number, _leave)
        keep_freed_memory()
        settings = self._settings
        try:
            link = EngineLink(self._door, settings.max_inflight_bytes)
            app = create_app(
                settings,
                Mirror(settings.models, link, self._served),
                seat=Seat.take(self._folder),
                tracer=make_tracer(settings),
            )
        except Exception as error:
            log.error("The service could not start", error=str(error), kind=type(error).__name__)
            return CANNOT_START
        collect_seldom()
        server = uvicorn.Server(server_config(settings, app))
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(server, self._port, line))
        return 0


async def _serve(server: uvicorn.Server, port: socket.socket, line: Line) -> None:
    beating = asyncio.create_task(line.beat())
    await server.serve([port])  # a process that cannot start ends with uvicorn's status, which is `CANNOT_START`
    beating.cancel()


def _leave(*_: object) -> None:
    raise SystemExit(0)


def _identity(served: Served) -> list[tuple[object, ...]]:
    return [(artifact.manifest, artifact.providers, artifact.sites) for artifact in served.artifacts]


def _import_the_rest(settings: Settings) -> None:
    """Import what every gateway would once it serves, so that they share it."""
    for module in (*_SERVER, *(_GRPC if settings.grpc_port is not None else ())):
        import_module(module)


@contextmanager
def _signals(end: Callable[[], None]) -> Iterator[socket.socket]:
    """Call `end` at SIGTERM and SIGINT; a socket that then has something to read."""
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    woken.setblocking(False)
    before = {number: signal.signal(number, lambda *_: end()) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    try:
        yield wake
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        wake.close()
        woken.close()


@contextmanager
def _redis(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a server that every gateway can reach, and what a forked process calls to let go of it.

    An embedded one is started here, once for all.
    """
    if not url.startswith(EMBEDDED_URL):
        yield url, lambda: None
        return
    with EmbeddedRedis() as server:
        yield server.url, server.leave
