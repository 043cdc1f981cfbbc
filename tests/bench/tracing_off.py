"""What tracing costs where it is off: `python -m tests.bench.tracing_off`.

The cost is that of every place that asks whether there is a tracer, beside the same places without the question. It is
shown as a share of the smallest request: one frame, on an engine that computes next to nothing. Any other takes longer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import pairwise

from service.metrics import Metrics
from service.metrics.compute import STAGES
from service.telemetry.logs import configure_logs
from service.telemetry.stages import Stages
from service.telemetry.tracer import Tracer
from service.trajectory.embedded import EmbeddedRedis
from tests.service.api.gateways import running_gateway
from tests.service.api.requests import city_frame
from tests.service.api.scraped import scrape, total

_RECORDED = ("queue_encode", "encode", "queue_fuse", "fuse")  # once they are over; the others are timed as they run
_BATCH = 200  # calls that are timed together


def cost_s(repeats: int) -> float:
    """Processor time that one request spends on asking for a tracer that is not there."""
    stages, durations = Stages(Metrics().compute), Metrics().compute.stage_duration
    bare = {name: durations.labels(name) for name in STAGES}
    tracer: Tracer | None = None

    def asking() -> None:
        with nullcontext() if tracer is None else tracer.request("POST", ()) as span:  # as the observer does
            for name in STAGES:
                if name in _RECORDED:
                    stages.record(name, 0.0, 0.01)
                else:
                    with stages.stage(name):
                        pass
            for _ in range(2):  # when it begins and when it ends
                if span is not None:
                    raise AssertionError("tracing is on")

    def not_asking() -> None:
        for name in STAGES:
            if name in _RECORDED:
                bare[name].observe(0.01)
            else:
                started_s = time.monotonic()
                bare[name].observe(time.monotonic() - started_s)

    return _least_s(asking, repeats) - _least_s(not_asking, repeats)


async def request_s(repeats: int) -> list[float]:
    """Time of each of so many smallest requests within the application, as its own metric has it."""
    summed_s = [0.0]
    with EmbeddedRedis() as redis:
        async with running_gateway(redis.url) as gateway:
            for turn in range(repeats):
                await gateway.post("/v1/sense", json={"frames": [city_frame(f"ue-{turn}", tasks=["los"])]})
                summed_s.append(
                    total(
                        await scrape(gateway), "cellsense_request_duration_seconds_sum", route="/v1/sense", status="200"
                    )
                )
    return [after_s - before_s for before_s, after_s in pairwise(summed_s)]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tracing_off", description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    configure_logs("warning", "text")
    cost, times_s = cost_s(args.requests), asyncio.run(request_s(args.requests))
    least_s = min(times_s)
    report = {
        "cost_us": round(cost * 1e6, 2),
        "least_request_ms": round(least_s * 1e3, 3),
        "median_request_ms": round(statistics.median(times_s) * 1e3, 3),
        "share_of_least": round(cost / least_s, 5),
    }
    if args.json:
        print(json.dumps(report))
        return
    print(f"tracing that is off: {report['cost_us']} µs of processor time a request")
    print(f"smallest request: {report['least_request_ms']} ms at least, {report['median_request_ms']} ms in the median")
    print(f"share: {cost / least_s:.2%} of the least")


def _least_s(call: Callable[[], None], repeats: int) -> float:
    """Processor time of a call, the least of some runs."""
    runs_s = []
    for _ in range(repeats):
        started_s = time.process_time()
        for _ in range(_BATCH):
            call()
        runs_s.append((time.process_time() - started_s) / _BATCH)
    return min(runs_s)


if __name__ == "__main__":
    main()
