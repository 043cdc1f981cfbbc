"""The running parts behind the routes, from start to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog

from service.api.body import BodyReader
from service.engine.cores import usable_cores
from service.engine.protocol import Engine
from service.errors import ArtifactError
from service.feedback.feedback import Feedback
from service.feedback.store import AnswerStore
from service.metrics import Metrics, Seat
from service.oip.inference import Inference
from service.pipeline import Pipeline
from service.remote.mirror import Mirror
from service.runner.catalogue import Catalogue
from service.runner.graph_runner import runners
from service.runner.repository import Load, Repository
from service.settings import Settings
from service.telemetry.devices import device_reader
from service.telemetry.sampler import Sampler
from service.telemetry.stages import Stages
from service.telemetry.tracer import Tracer
from service.trajectory.buffer import TrajectoryBuffer
from service.trajectory.connection import RedisConnection

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Gateway:
    """Settings, metrics, Redis, pipeline and models of one process of the service."""

    def __init__(
        self,
        settings: Settings,
        engines: Mapping[str, Engine] | Mirror,
        now_s: Callable[[], float] = time.time,
        on_fatal: Callable[[], None] = lambda: None,
        seat: Seat | None = None,
        tracer: Tracer | None = None,
        others: Sequence[Engine] = (),
        load: Load | None = None,
    ) -> None:
        """Nothing runs before `running` is entered.

        Args:
            settings: everything that can be set.
            engines: the engine of each site, by the site's name; or those of another process.
            now_s: Unix time.
            on_fatal: called when the models cannot be warmed up, so that the service will never be ready.
            seat: among the processes whose metrics count together, if any.
            tracer: makes spans, if any; closed in the end.
            others: engines of artifacts that serve no site.
            load: opens an artifact, to be loaded while the service runs; None where none can be.
        """
        self.settings = settings
        self.metrics = Metrics(seat, settings.commit)
        self.stages = Stages(self.metrics.compute, tracer)
        self.redis = RedisConnection(
            settings.redis,
            max_connections=settings.redis_connections,
            timeout_s=settings.redis_timeout_s,
            observe=self._observe_redis,
        )
        buffer = TrajectoryBuffer(
            self.redis, ttl_s=settings.trajectory_ttl_s, late_tolerance_s=settings.late_tolerance_s
        )
        self.repository: Catalogue[Any]
        parts = (buffer, settings, self.metrics, self.stages, now_s)
        if isinstance(engines, Mirror):
            self.repository = engines
            self.pipeline = Pipeline(engines.engines, engines.pin, *parts)
            self._become_ready = partial(self._follow, engines)
        else:
            self.repository = repository = Repository(
                settings.models, load, lambda engine: runners(engine, settings, self.metrics.compute)
            )
            self.pipeline = Pipeline(engines, repository.pin, *parts)
            self._become_ready = partial(self._warm_up, repository)
            for engine in others:
                repository.add(engine)
        self.inference = Inference()
        store = AnswerStore(self.redis, settings.label_ttl_s) if settings.label_ttl_s else None
        self.feedback = Feedback(store, self.metrics.truth)
        self.bodies = BodyReader(settings.max_body_bytes, settings.max_inflight_bytes, settings.body_timeout_s)
        self.parsers = ThreadPoolExecutor(settings.threads or usable_cores(), thread_name_prefix="parse")
        # Devices are looked at by the process that uses them.
        devices = "cpu" if isinstance(engines, Mirror) else settings.provider
        self._sampler = Sampler(self.metrics.system, self.redis.reachable, device_reader(devices))
        self._on_fatal = on_fatal
        self._tracer = tracer
        self._replaces_another = seat is not None and seat.inherited

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect to Redis, warm the models up in the background, and end all of it.

        A process that takes the place of one that died is warm before it is entered: until then the others answer.
        """
        await self.redis.start()
        tasks = [asyncio.create_task(self._sampler.run()), asyncio.create_task(self._become_ready())]
        try:
            if self._replaces_another:
                await tasks[1]
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.pipeline.close()
            await self.repository.close()
            await self.feedback.close()
            await self.redis.close()
            self.parsers.shutdown(wait=False, cancel_futures=True)
            if self._tracer is not None:
                await asyncio.to_thread(self._tracer.close)

    def require_control(self) -> None:
        """Raise `ArtifactError` where models cannot be loaded and unloaded while the service runs."""
        if not self.settings.model_control:
            raise ArtifactError("models cannot be loaded or unloaded: the service was started with model_control off")

    @asynccontextmanager
    async def grpc(self) -> AsyncIterator[None]:
        """Serve gRPC, too, where a port is set. Raises `ArtifactError` where that cannot be had."""
        if self.settings.grpc_port is None:
            yield
            return
        from service.rpc.server import serving  # an extra
        from service.rpc.servicer import Servicer

        servicer = Servicer(
            self.repository,
            self.metrics.traffic,
            deadline_s=self.settings.deadline_s,
            require_ready=self.pipeline.require_available,
            require_control=self.require_control,
        )
        async with serving(
            servicer,
            self.settings.host,
            self.settings.grpc_port,
            max_message_bytes=self.settings.max_body_bytes,
            drain_s=self.settings.drain_s,
            shared=self.settings.workers > 1,
        ):
            yield

    async def _warm_up(self, repository: Repository) -> None:
        started_s = time.monotonic()
        try:
            await repository.warm_up()
        except Exception as error:
            self.pipeline.suspend(f"the models could not be warmed up: {error}")
            log.exception("The models could not be warmed up: the service will not become ready")
            self._on_fatal()
        else:
            self.pipeline.resume()
            took_s = round(time.monotonic() - started_s, 3)
            log.info("Ready to serve", sites=sorted(self.pipeline.sites), warm_up_s=took_s)

    async def _follow(self, mirror: Mirror) -> None:
        """Be ready whenever the engine in another process is; ends when it is so for the first time."""
        ready = asyncio.Event()

        def told(is_ready: bool) -> None:
            structlog.contextvars.clear_contextvars()  # it is called wherever the engine's answers arrive
            if is_ready and not self.pipeline.available:
                self.pipeline.resume()
                log.info("Ready to serve", sites=sorted(self.pipeline.sites))
                ready.set()
            elif not is_ready:
                self.pipeline.suspend("the engine is being started: ask /readyz until it says 200")

        mirror.start(told)
        await ready.wait()

    def _observe_redis(self, operation: str, duration_s: float, well: bool) -> None:
        self.metrics.system.redis_duration.labels(operation).observe(duration_s)
        self.metrics.system.redis_errors.labels(operation).inc(0 if well else 1)  # from 0, so that the first one shows
