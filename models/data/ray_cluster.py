"""Do the jobs of a build on a Ray cluster: one task a file.

A task returns the file's bytes, which the driver writes: the nodes need no shared disk. Ray does a task again when its
worker or its node dies. The nodes get the driver's own code, so that no shard is made by another version.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from models.data.shard_job import NO_TRACER, Job, Order, Product, perform

RETRIES = 5  # of a task whose worker or node dies
REACH_S = 5.0  # patience with an address; Ray's own is minutes
_ROOT = Path(__file__).parents[2]


def on_ray(jobs: Iterable[Job], order: Order, address: str, workers: int) -> Generator[Product]:
    """Products of the jobs, in the order in which they get done. Close the iterator to stop early.

    Args:
        jobs: what to do; each takes one core of the cluster.
        order: what the jobs share.
        address: of a running cluster, or `local` to start one on this machine for as long as it takes.
        workers: cores of the cluster that `local` starts.

    Raises `ConnectionError` where nothing answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # builds do not call home
    import ray

    code = {"py_modules": [str(_ROOT / package) for package in ("models", "service")], "excludes": ["zoo/"]}
    _reach(address)
    here: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
    with contextlib.redirect_stdout(sys.stderr):  # Ray prints what happens to its nodes; our report has stdout
        try:
            ray.init(address, runtime_env=code, log_to_driver=False, logging_level=logging.WARNING, **here)
            task, shared = ray.remote(num_cpus=1, max_retries=RETRIES)(perform), ray.put(order)
            running = {task.remote(job, shared): job for job in jobs}
            while running:
                (ref,), _ = ray.wait(list(running))
                job = running.pop(ref)
                try:
                    product = ray.get(ref)
                except NO_TRACER:
                    raise
                except ray.exceptions.RayError as error:
                    product = Product(job, error=str(error))
                yield product
        finally:
            ray.shutdown()  # which joins the threads that print, so it is still inside the redirection


def _reach(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():  # not `local` or `auto`
        try:
            socket.create_connection((host, int(port)), REACH_S).close()
        except OSError as error:
            raise ConnectionError(str(error)) from error
