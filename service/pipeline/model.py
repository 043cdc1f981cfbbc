"""A served model: its engine, and a dynamic batcher in front of each of its graphs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from functools import partial

from service.batching.batcher import Batcher
from service.contract.sites import Site
from service.engine.merging import encode_many, encode_rows, fuse_many, fuse_rows
from service.engine.protocol import Engine, Inputs, Outputs
from service.errors import ArtifactError
from service.metrics import Metrics
from service.pipeline.decoding import REGION_KEY
from service.settings import Settings
from service.telemetry.stages import Stages


class Model:
    """Encodes and fuses for every request at once, in as few runs of the engine as arrive together."""

    def __init__(self, engine: Engine, settings: Settings, metrics: Metrics, stages: Stages) -> None:
        """Raises `ArtifactError` where the manifest lacks what answering needs."""
        _check(engine)
        self.engine = engine
        self.manifest = engine.manifest
        self.fingerprint = _fingerprint(engine)
        batcher = partial(_batcher, engine, settings, metrics, stages)
        self._encode: Batcher[Inputs, Outputs] = batcher("encode", encode_many, encode_rows)
        self._fuse: Batcher[Inputs, Outputs] = batcher("fuse", fuse_many, fuse_rows)

    async def encode(self, inputs: Inputs, deadline_s: float) -> Outputs:
        """`ENCODE_INPUTS` to `ENCODE_OUTPUTS`; `deadline_s` is a time of `time.monotonic()`.

        Raises:
            Overloaded, DeadlineExceeded, EngineFailure, ShuttingDown: see `Batcher.submit`.
        """
        return await self._encode.submit(inputs, deadline_s)

    async def fuse(self, inputs: Inputs, deadline_s: float) -> Outputs:
        """`FUSE_INPUTS` to `FUSE_OUTPUTS`, else as `encode`."""
        return await self._fuse.submit(inputs, deadline_s)

    async def close(self) -> None:
        """Fail what waits, finish what runs."""
        await asyncio.gather(self._encode.close(), self._fuse.close())


def _batcher(
    engine: Engine,
    settings: Settings,
    metrics: Metrics,
    stages: Stages,
    graph: str,
    run: Callable[[Engine, list[Inputs]], list[Outputs]],
    rows: Callable[[Inputs], int],
) -> Batcher[Inputs, Outputs]:
    batch_rows, queue_duration = metrics.compute.batch_rows.labels(graph), metrics.compute.queue_duration.labels(graph)

    def observe(rows: int, queue_s: float, run_s: float) -> None:
        batch_rows.observe(rows)
        queue_duration.observe(queue_s)

    def observe_job(queued_s: float, started_s: float, ended_s: float) -> None:
        stages.record(f"queue_{graph}", queued_s, started_s)
        stages.record(graph, started_s, ended_s)

    return Batcher(
        partial(run, engine),
        rows,
        max_rows=settings.max_run_rows,
        max_queue_rows=settings.max_queue_rows,
        workers=engine.sessions,
        clock=time.monotonic,
        observe=observe,
        observe_job=observe_job,
        observe_queue=metrics.compute.queue_rows.labels(graph).inc,
    )


def _fingerprint(engine: Engine) -> str:
    """Identifies the weights, so that embeddings of another model never enter a trajectory."""
    manifest = engine.manifest
    identity = [manifest.name, manifest.version, manifest.fingerprint, manifest.files]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _check(engine: Engine) -> None:
    manifest = engine.manifest
    if REGION_KEY not in manifest.calibration.region_quantile:
        raise ArtifactError(
            f"{manifest.name}: expected calibration.region_quantile with {REGION_KEY!r}: export it again"
        )
    for site in manifest.sites:
        if site.name not in manifest.calibration.ood_threshold:
            raise ArtifactError(f"{manifest.name}: expected calibration.ood_threshold of {site.name}: export it again")
        if _has_array_without_bandwidth(site):
            raise ArtifactError(f"{manifest.name}: expected a bandwidth_hz of {site.name}, which has an array")


def _has_array_without_bandwidth(site: Site) -> bool:
    return site.array_rows is not None and not site.bandwidth_hz
