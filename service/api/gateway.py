"""The running parts behind the routes, from start to end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from service.api.body import BodyReader
from service.engine.cores import usable_cores
from service.engine.protocol import Engine
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.settings import Settings
from service.trajectory.buffer import TrajectoryBuffer

log = logging.getLogger("cellsense")


class Gateway:
    """Settings, metrics, trajectory buffer and pipeline of one service."""

    def __init__(
        self,
        settings: Settings,
        engines: Mapping[str, Engine],
        now_s: Callable[[], float] = time.time,
        on_fatal: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing runs before `running` is entered.

        Args:
            settings: everything that can be set.
            engines: the engine of each site, by the site's name.
            now_s: Unix time.
            on_fatal: called when the models cannot be warmed up, so that the service will never be ready.
        """
        self.settings = settings
        self.metrics = Metrics()
        self.buffer = TrajectoryBuffer(
            settings.redis,
            ttl_s=settings.trajectory_ttl_s,
            late_tolerance_s=settings.late_tolerance_s,
            max_connections=settings.redis_connections,
        )
        self.pipeline = Pipeline(engines, self.buffer, settings, self.metrics, now_s)
        self.bodies = BodyReader(settings.max_body_bytes, settings.max_inflight_bytes, settings.body_timeout_s)
        self.parsers = ThreadPoolExecutor(settings.workers or usable_cores(), thread_name_prefix="parse")
        self._on_fatal = on_fatal

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the buffer, warm the models up in the background, and end all of it."""
        await self.buffer.start()
        warming = asyncio.create_task(self._warm_up())
        try:
            yield
        finally:
            warming.cancel()
            await self.pipeline.close()
            await self.buffer.close()
            self.parsers.shutdown(wait=False, cancel_futures=True)

    async def _warm_up(self) -> None:
        started = time.perf_counter()
        try:
            await self.pipeline.warm_up()
        except Exception:
            log.exception("The models could not be warmed up: the service will not become ready")
            self._on_fatal()
        else:
            sites = ", ".join(sorted(self.pipeline.sites)) or "no site"
            log.info("Ready to serve %s after %.1f s of warm-up", sites, time.perf_counter() - started)
