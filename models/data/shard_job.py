"""One job of a build: record an episode, or survey a site's ground, into the bytes of a file. Runs in a worker."""

from __future__ import annotations

import os
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from models.data.provenance import machine, software
from models.data.raytraced.llvm import NoLLVM, use_llvm
from models.data.recipe import Recipe
from models.data.schema import Arrays
from models.data.shards import pack_ground, pack_shard

NO_TRACER = (ModuleNotFoundError, NoLLVM)  # what `perform` raises where rays cannot be traced at all


class Recording(Protocol):
    """Records the episodes of one site."""

    def record(self, episode: int) -> Arrays:
        """Columns of a shard, see `schema`."""

    def ground(self) -> Arrays:
        """Columns of the site's ground, see `shards.GROUND`."""


Factory = Callable[[str, Recipe], Recording]  # sent to the workers, so: of a module, or a partial of such


@dataclass(frozen=True)
class Job:
    """A file to make: the shard of an episode, or the ground of a site where `episode` is None."""

    site: str
    episode: int | None

    def __str__(self) -> str:
        return f"ground of {self.site}" if self.episode is None else f"episode {self.episode} of {self.site}"


@dataclass(frozen=True)
class Order:
    """What all jobs of a build share."""

    recipe: Recipe
    fingerprint: str
    factory: Factory


@dataclass(frozen=True)
class Product:
    """What came of a job.

    Attributes:
        data: the file; empty where the job failed.
        seconds: that it took, the loading of the scene included.
        worker: host and process, to tell workers apart.
        made_by: versions of what made it, see `provenance.software`.
        machine: see `provenance.machine`.
        error: why it failed; empty where it did not.
    """

    job: Job
    data: bytes = b""
    seconds: float = 0.0
    worker: tuple[str, int] = ("", 0)
    made_by: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def trace(site: str, recipe: Recipe) -> Recording:
    """The ray tracer, on one thread: workers are what runs side by side, and sums come out the same everywhere.

    Raises `NO_TRACER`.
    """
    use_llvm()
    import drjit

    drjit.set_thread_count(1)
    from models.data.raytraced.recorder import Recorder

    return Recorder(site, recipe)


_last: dict[tuple[str, str], Recording] = {}  # of this process: loading a scene takes seconds


def perform(job: Job, order: Order) -> Product:
    """Do a job; a failure is a product, too. Raises `NO_TRACER`, which no other job would survive either."""
    started = time.perf_counter()
    try:
        recorder = _recorder(job.site, order)
        if job.episode is None:
            data = pack_ground(recorder.ground(), order.fingerprint)
        else:
            data = pack_shard(recorder.record(job.episode), order.fingerprint)
    except NO_TRACER:
        raise
    except Exception:
        return Product(job, error=traceback.format_exc())
    seconds = time.perf_counter() - started
    return Product(job, data, seconds, (platform.node(), os.getpid()), software(), machine())


def _recorder(site: str, order: Order) -> Recording:
    key = (site, order.fingerprint)
    if key not in _last:
        _last.clear()  # one scene at a time is in memory
        _last[key] = order.factory(site, order.recipe)
    return _last[key]
