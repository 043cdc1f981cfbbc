from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from service.metrics import Metrics
from service.telemetry.devices import DeviceMemory
from service.telemetry.sampler import Sampler
from service.trajectory.embedded import EmbeddedRedis
from tests.service.trajectory.connections import connected


async def test_redis_is_up_until_it_is_not() -> None:
    metrics = Metrics()
    with EmbeddedRedis() as server:
        async with connected(server.url) as redis:
            sampler = Sampler(metrics.system, redis.reachable, tuple)
            await sampler.sample()
            assert metrics.registry.get_sample_value("cellsense_redis_up") == 1
            server.stop()
            await sampler.sample()
            assert metrics.registry.get_sample_value("cellsense_redis_up") == 0


async def test_the_log_says_when_redis_goes_and_when_it_comes_back() -> None:
    answers = [True, False, False, True, True]

    async def comes_and_goes() -> bool:
        return answers.pop()

    with capture_logs() as lines:
        sampler = Sampler(Metrics().system, comes_and_goes, tuple)
        while answers:
            await sampler.sample()
    assert [(line["log_level"], line["event"].partition(":")[0]) for line in lines] == [
        ("warning", "Redis does not answer"),
        ("info", "Redis answers again"),
    ]


async def reachable() -> bool:
    return True


async def test_process_and_devices_are_sampled() -> None:
    metrics, value = Metrics(), None
    sampler = Sampler(metrics.system, reachable, lambda: [DeviceMemory("0", 3, 10), DeviceMemory("1", 4, 10)])
    await sampler.sample()
    value = metrics.registry.get_sample_value
    first_s = value("cellsense_process_cpu_seconds_total") or 0.0
    sum(range(300_000))
    await sampler.sample()
    assert (value("cellsense_process_cpu_seconds_total") or 0.0) > first_s > 0
    assert (value("cellsense_process_resident_memory_bytes") or 0.0) > 10e6
    assert value("cellsense_device_memory_used_bytes", {"device": "1"}) == 4
    assert value("cellsense_device_memory_total_bytes", {"device": "0"}) == 10


async def test_it_ends_when_cancelled_even_where_that_is_swallowed() -> None:
    asked = asyncio.Event()

    async def swallows_the_first() -> bool:
        first = not asked.is_set()
        asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not first:
                raise
        return False

    task = asyncio.create_task(Sampler(Metrics().system, swallows_the_first, tuple).run())
    await asked.wait()
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    assert done == {task}
