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


class Model:
    """Encodes and fuses for every request at once, in as few runs of the engine as arrive together."""

    def __init__(self, engine: Engine, settings: Settings, metrics: Metrics) -> None:
        """Raises `ArtifactError` where the manifest lacks what answering needs."""
        _check(engine)
        self.engine = engine
        self.manifest = engine.manifest
        self.fingerprint = _fingerprint(engine)
        self._encode: Batcher[Inputs, Outputs] = Batcher(
            partial(encode_many, engine),
            encode_rows,
            max_rows=settings.max_run_rows,
            max_queue_rows=settings.max_queue_rows,
            workers=engine.sessions,
            clock=time.monotonic,
            observe=_observer(metrics, "encode"),
        )
        self._fuse: Batcher[Inputs, Outputs] = Batcher(
            partial(fuse_many, engine),
            fuse_rows,
            max_rows=settings.max_run_rows,
            max_queue_rows=settings.max_queue_rows,
            workers=engine.sessions,
            clock=time.monotonic,
            observe=_observer(metrics, "fuse"),
        )

    @property
    def queued_rows(self) -> int:
        """Rows that wait, to be encoded or to be fused."""
        return self._encode.queued_rows + self._fuse.queued_rows

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


def _observer(metrics: Metrics, stage: str) -> Callable[[int, float, float], None]:
    def observe(rows: int, queue_s: float, run_s: float) -> None:
        metrics.batch_rows.labels(stage).observe(rows)
        metrics.queue_duration.labels(stage).observe(queue_s)
        metrics.stage_duration.labels(stage).observe(run_s)

    return observe


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
