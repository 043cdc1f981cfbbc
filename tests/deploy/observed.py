"""Two replicas under the load of the demo's controller, watched by Prometheus: what compose starts, as processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.grafana.source import Source
from tests.deploy.prometheus_process import scraping
from tests.deploy.redis_process import RedisProcess
from tests.e2e.gateway_process import ROOT, STOP_TIMEOUT_S, Served, free_port, serving

REPLICAS = 2


@dataclass(frozen=True)
class Observed:
    """The parts that a test may ask, stop and start."""

    prometheus: Source
    redis: RedisProcess
    replicas: list[Served]


@contextmanager
def observed(folder: Path) -> Iterator[Observed]:
    """Start everything, and end it all."""
    with ExitStack() as stack:
        redis = RedisProcess(folder, free_port())
        stack.callback(redis.stop)
        flags = ("--redis", redis.url, "--intra-op-threads", "1")
        replicas = [stack.enter_context(serving(folder / f"replica-{i}.log", *flags)) for i in range(REPLICAS)]
        for replica in replicas:
            replica.wait_for("/readyz", 200)
            stack.enter_context(_streaming(folder / f"controller-{replica.address[1]}.log", replica.url))
        targets = [f"{host}:{port}" for host, port in (replica.address for replica in replicas)]
        yield Observed(stack.enter_context(scraping(folder, free_port(), targets)), redis, replicas)


@contextmanager
def _streaming(log: Path, url: str) -> Iterator[None]:
    """The controller of the demo: moving vehicles and people, and afterwards the truth about them."""
    with log.open("wb") as output:
        command = [sys.executable, "-m", "service.cli", "stream", "--url", url]
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)
