"""The gateway and the engine in one process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from service.api.app import create_app
from service.engine.cores import usable_cores
from service.engine.discovery import load_artifacts
from service.engine.loading import loader
from service.serving.garbage import collect_seldom
from service.serving.memory import given_back, keep_freed_memory
from service.serving.server import FAILED, server_config
from service.settings import Settings
from service.telemetry.logs import configure_logs
from service.telemetry.tracing import make_tracer


def run_process(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; answer with the exit status. Raises `ArtifactError` and `ModuleNotFoundError`."""
    configure_logs(settings.log_level, settings.log_format)
    fatal: list[bool] = []

    def give_up() -> None:
        fatal.append(True)
        server.should_exit = True

    server = uvicorn.Server(server_config(settings, build_app(settings, give_up)))
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server handles the signal, ends in order, and then raises it again: by then there is nothing left to end.
        signal.signal(number, lambda *_: None)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_serve(server))
    return FAILED if fatal else 0


async def _serve(server: uvicorn.Server) -> None:
    async with given_back():
        await server.serve()


def build_app(settings: Settings, on_fatal: Callable[[], None]) -> FastAPI:
    """The application on the artifacts that the settings name. See `create_app`."""
    keep_freed_memory()
    load = loader(settings, usable_cores())
    found = load_artifacts(settings.models, load, settings.prefer)
    app = create_app(
        settings,
        found.by_site,
        on_fatal=on_fatal,
        tracer=make_tracer(settings),
        others=found.others,
        load=load,
    )
    collect_seldom()
    return app
