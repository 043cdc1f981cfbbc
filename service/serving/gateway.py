"""One of several processes that answer requests, with the models in another."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import structlog
import uvicorn

from service.api.app import create_app
from service.metrics import Seat
from service.remote.link import EngineLink
from service.remote.messages import Served
from service.remote.mirror import Mirror
from service.serving.garbage import collect_seldom
from service.serving.line import Line
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
        app = create_app(settings, mirror, seat=Seat.take(folder), tracer=make_tracer(settings))
    except Exception as error:
        log.error("The service could not start", error=str(error), kind=type(error).__name__)
        return CANNOT_START
    collect_seldom()
    server = uvicorn.Server(server_config(settings, app))
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_serve(server, port, line))
    return 0


async def _serve(server: uvicorn.Server, port: socket.socket, line: Line) -> None:
    beating = asyncio.create_task(line.beat())
    await server.serve([port])  # a process that cannot start ends with uvicorn's status, which is `CANNOT_START`
    beating.cancel()


def _leave(*_: object) -> None:
    raise SystemExit(0)
