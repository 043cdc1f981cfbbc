"""One of several processes that answer requests, with the models in another."""

from __future__ import annotations

import asyncio
import signal
import socket
from functools import partial
from pathlib import Path

import structlog
import uvicorn

from service.api.app import create_app
from service.metrics import Seat
from service.remote.link import EngineLink
from service.remote.messages import Served
from service.remote.mirror import Mirror
from service.serving.accepting import Acceptor, Shares
from service.serving.garbage import collect_seldom
from service.serving.line import Line
from service.serving.memory import given_back
from service.serving.names import CANNOT_START
from service.serving.server import server_config
from service.settings import Settings
from service.telemetry.tracing import make_tracer

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def run_gateway(
    settings: Settings, folder: Path, port: socket.socket, door: socket.socket, served: Served, line: Line
) -> int:
    """Serve until SIGTERM; answer with the exit status.

    Args:
        settings: of the service.
        folder: of the metrics that all processes count together.
        port: to accept connections from.
        door: to the engine.
        served: what that has loaded.
        line: to whoever watches this process.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server handles the signal, ends in order, and then raises it again: this is what it then meets.
        signal.signal(number, _leave)
    try:
        link = EngineLink(door, settings.max_inflight_bytes)
        mirror = Mirror(settings.models, link, served)
        seat = Seat.take(folder)
        shares = Shares(folder, seat.number)
        app = create_app(settings, mirror, seat=seat, tracer=make_tracer(settings))
    except Exception as error:
        log.error("The service could not start", error=str(error), kind=type(error).__name__)
        return CANNOT_START
    collect_seldom()
    server = _Server(server_config(settings, app), port, shares)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_serve(server, line))
    return 0


class _Server(uvicorn.Server):
    """Takes its connections from a socket on which other processes listen, too."""

    def __init__(self, config: uvicorn.Config, port: socket.socket, shares: Shares) -> None:
        super().__init__(config)
        self._port, self._shares = port, shares
        self._acceptor: Acceptor

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then take connections."""
        await super().startup(sockets=[])  # from which it would take by itself
        state = self.server_state
        protocol = partial(self.config.http_protocol_class, self.config, state, self.lifespan.state)  # type: ignore[call-arg]
        self._acceptor = Acceptor(self._port, self._shares, protocol)
        state.connections = self._acceptor.connections
        self._acceptor.open(self.config.backlog)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and end those that there are."""
        self._acceptor.close()
        await super().shutdown(sockets=[])


async def _serve(server: uvicorn.Server, line: Line) -> None:
    beating = asyncio.create_task(line.beat())
    async with given_back():
        await server.serve()  # a process that cannot start ends with uvicorn's status, which is `CANNOT_START`
    beating.cancel()


def _leave(*_: object) -> None:
    raise SystemExit(0)
