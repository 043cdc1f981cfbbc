"""Gauges that nobody sets in passing: asked for every second."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from service.metrics.system import ProcessMetrics, SystemMetrics
from service.telemetry.devices import DeviceMemory

PERIOD_S = 1.0
log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
_STATM = Path("/proc/self/statm")  # in pages: total, resident, ...


class ProcessSampler:
    """Samples this process and its devices."""

    def __init__(self, metrics: ProcessMetrics, read_devices: Callable[[], Sequence[DeviceMemory]]) -> None:
        self._process = metrics
        self._read_devices = read_devices
        self._cpu_s = 0.0
        metrics.start_time.set(time.time())

    async def run(self) -> None:
        """Sample until cancelled."""
        task = asyncio.current_task()
        while True:
            await self.sample()
            if task is not None and task.cancelling():  # the client of Redis may swallow the exception that says so
                return
            await asyncio.sleep(PERIOD_S)

    async def sample(self) -> None:
        """Sample once."""
        cpu_s = time.process_time()
        self._process.cpu.inc(cpu_s - self._cpu_s)
        self._cpu_s = cpu_s
        self._process.resident_memory.set(int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        for memory in self._read_devices():
            self._process.device_memory_used.labels(memory.device).set(memory.used_bytes)
            self._process.device_memory_total.labels(memory.device).set(memory.total_bytes)


class Sampler(ProcessSampler):
    """Samples this process, its devices and its Redis."""

    def __init__(
        self,
        metrics: SystemMetrics,
        redis_reachable: Callable[[], Awaitable[bool]],
        read_devices: Callable[[], Sequence[DeviceMemory]],
    ) -> None:
        super().__init__(metrics, read_devices)
        self._metrics = metrics
        self._redis_reachable = redis_reachable
        self._redis_up = True

    async def sample(self) -> None:
        """Sample once."""
        await super().sample()
        self._note_redis(await self._redis_reachable())

    def _note_redis(self, up: bool) -> None:
        self._metrics.redis_up.set(up)
        if up != self._redis_up:
            self._redis_up = up
            if up:
                log.info("Redis answers again")
            else:
                log.warning("Redis does not answer: every frame is answered alone, and no label is taken")
