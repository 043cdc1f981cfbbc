"""The gateway in this process."""

from __future__ import annotations

import signal
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from service.api.app import create_app
from service.engine.cores import usable_cores
from service.engine.discovery import load_artifacts
from service.engine.loading import loader
from service.metrics import Seat
from service.serving.garbage import collect_seldom
from service.serving.memory import keep_freed_memory
from service.settings import Settings
from service.telemetry.logs import configure_logs
from service.telemetry.tracing import make_tracer

FAILED = 1  # exit status
UVICORNS_PROTOCOL, OUR_PROTOCOL = "httptools", "service.serving.express:ExpressProtocol"
WORKER_START_S = 60  # what does not answer its parent for longer is replaced; on a busy machine it takes long to start


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
    server.run()
    return FAILED if fatal else 0


def build_app(settings: Settings, on_fatal: Callable[[], None], seat: Seat | None = None) -> FastAPI:
    """The application on the artifacts that the settings name. See `create_app`."""
    keep_freed_memory()
    load = loader(settings, cores=max(1, usable_cores() // settings.workers))
    found = load_artifacts(settings.models, load, settings.prefer)
    app = create_app(
        settings,
        found.by_site,
        on_fatal=on_fatal,
        seat=seat,
        tracer=make_tracer(settings),
        others=found.others,
        load=load,
    )
    collect_seldom()
    return app


def server_config(settings: Settings, app: FastAPI | Callable[[], FastAPI], workers: int = 1) -> uvicorn.Config:
    """How the application, or with several workers what builds it in each, is served."""
    return uvicorn.Config(
        app,
        http=UVICORNS_PROTOCOL if settings.traces != "off" else OUR_PROTOCOL,  # spans begin in the application
        factory=workers > 1,
        workers=workers,
        host=settings.host,
        port=settings.port,
        timeout_graceful_shutdown=settings.drain_s,
        timeout_worker_healthcheck=WORKER_START_S,
        server_header=False,
        proxy_headers=False,  # nobody asks for the address of a client
        log_config=None,  # the log is ours, and so is its line a request
        access_log=False,
    )
