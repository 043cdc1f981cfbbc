"""The gateway as several processes behind one port, watched by this one, which answers no request itself.

They share one Redis, and one folder for their metrics. A process that dies is replaced; one that cannot become ready
ends them all. When this process dies, so do they.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import parent_process
from pathlib import Path

import structlog
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from service.engine.cores import usable_cores
from service.metrics import Seat
from service.serving.process import FAILED, build_app, server_config
from service.settings import Settings
from service.telemetry.logs import configure_logs
from service.trajectory.connection import EMBEDDED_URL
from service.trajectory.embedded import EmbeddedRedis

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def run_workers(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; answer with the exit status. Raises `BufferUnavailable`."""
    configure_logs(settings.log_level, settings.log_format)
    threads = settings.threads or max(1, usable_cores() // settings.workers)
    with _redis(settings.redis) as redis, tempfile.TemporaryDirectory(prefix="cellsense-metrics-") as folder:
        shared = settings.model_copy(update={"redis": redis, "threads": threads})
        config = server_config(settings, partial(_worker, shared, Path(folder)), settings.workers)
        supervisor = _Supervisor(config, [config.bind_socket()])
        supervisor.run()
    return FAILED if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes) else 0


class _Supervisor(Multiprocess):
    """Sees at once that a process has ended, also while it waits for an answer of it."""

    def keep_subprocess_alive(self) -> None:
        """See the base class."""
        for process in self.processes:
            # Its end of the pipe, as inherited by it: while it is open here too, the pipe outlives the process.
            process.child_conn.close()
        super().keep_subprocess_alive()


@contextmanager
def _redis(url: str) -> Iterator[str]:
    """The URL of a server that every worker can reach: an embedded one is started here, once for all."""
    if not url.startswith(EMBEDDED_URL):
        yield url
        return
    with EmbeddedRedis() as server:
        yield server.url


def _worker(settings: Settings, folder: Path) -> FastAPI:
    """The application, in a process of its own."""
    configure_logs(settings.log_level, settings.log_format)
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    try:
        return build_app(settings, _give_up, Seat.take(folder))
    except Exception as error:
        log.error("The service could not start", error=str(error), kind=type(error).__name__)
        raise SystemExit(STARTUP_FAILURE) from None


def _give_up() -> None:
    # At once: it answers nothing yet, and this status tells the parent not to try again.
    os._exit(STARTUP_FAILURE)


def _end_with_parent(folder: Path) -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        shutil.rmtree(folder, ignore_errors=True)  # which the parent, had it lived, would have removed
        os.kill(os.getpid(), signal.SIGTERM)
