"""The process that has the models, for all gateways: the only one that loads ONNX Runtime, or touches a device."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import socket
import time
from collections.abc import Coroutine
from pathlib import Path

import msgspec
import structlog
import uvloop

from service.engine.cores import usable_cores
from service.engine.discovery import Artifacts, load_artifacts
from service.errors import ArtifactError
from service.metrics import EngineMetrics, Seat
from service.remote.messages import Served
from service.remote.server import EngineServer
from service.runner.graph_runner import runners
from service.runner.repository import Load, Repository
from service.serving.line import Line
from service.serving.memory import given_back
from service.serving.names import CANNOT_START
from service.settings import Settings
from service.telemetry.devices import device_reader
from service.telemetry.sampler import ProcessSampler

POLL_S = 0.02
AFTER_GATEWAYS_S = 5.0  # beyond what the gateways may take to end, until the engine ends without them

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def run_engine(settings: Settings, folder: Path, reception: socket.socket, line: Line) -> int:
    """Serve gateways until SIGTERM, and then until they have gone; answer with the exit status.

    What was loaded is told on the line: a digest of what does not change while it is served, and a `Served`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes: gateways still need answers
    seat = Seat.take(folder)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Process(settings, seat, reception, line).run())


class _Process:
    """The engine and what goes with it, on one event loop."""

    def __init__(self, settings: Settings, seat: Seat, reception: socket.socket, line: Line) -> None:
        self._settings, self._reception, self._line = settings, reception, line
        self._seat = seat  # which is free again once nobody has it
        self._metrics = EngineMetrics()
        self._told_to_end = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> int:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._told_to_end.set)
        sampler = ProcessSampler(self._metrics.process, device_reader(self._settings.provider))
        self._start(self._line.beat())
        self._start(sampler.run())
        try:
            from service.engine.loading import loader  # with ONNX Runtime, which may not be installed

            load = loader(self._settings, usable_cores())
            found = await asyncio.to_thread(load_artifacts, self._settings.models, load, self._settings.prefer)
        except (ArtifactError, ModuleNotFoundError) as error:
            log.error("The service could not start", error=str(error), kind=type(error).__name__)
            return CANNOT_START
        return await self._serve(found, load)

    async def _serve(self, found: Artifacts, load: Load) -> int:
        compute = self._metrics.compute
        repository = Repository(
            self._settings.models,
            load,
            lambda engine: runners(engine, self._settings, compute),
            changed=lambda: server.tell(),
        )
        sites: dict[str, list[str]] = {}
        for site, engine in found.by_site.items():
            if engine.name not in sites:
                repository.pin(engine)
            sites.setdefault(engine.name, []).append(site)
        for engine in found.others:
            repository.add(engine)
        server = EngineServer(repository, sites)
        self._tell(server.served())
        server.start(self._reception)
        warming = asyncio.create_task(self._warm_up(repository, server))
        ending = asyncio.create_task(self._told_to_end.wait())
        await asyncio.wait([warming, ending], return_when=asyncio.FIRST_COMPLETED)
        if warming.done() and not warming.result():
            return CANNOT_START
        async with given_back():
            await ending
        give_up_at_s = time.monotonic() + self._settings.drain_s + AFTER_GATEWAYS_S
        while not server.idle and time.monotonic() < give_up_at_s:
            await asyncio.sleep(POLL_S)
        server.close()
        for task in (warming, *self._tasks):
            task.cancel()
        await repository.close()
        return 0

    async def _warm_up(self, repository: Repository, server: EngineServer) -> bool:
        started_s = time.monotonic()
        try:
            await repository.warm_up()
        except Exception:
            log.exception("The models could not be warmed up: the service will not become ready")
            return False
        log.info("Engine ready", warm_up_s=round(time.monotonic() - started_s, 3))
        server.set_ready()
        return True

    def _tell(self, served: Served) -> None:
        identity = [(artifact.manifest, artifact.providers, artifact.sites) for artifact in served.artifacts]
        digest = hashlib.sha256(msgspec.msgpack.encode(identity)).digest()
        self._line.say(digest + msgspec.msgpack.encode(served))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))
