"""The path of a model's frames once they are tensors: encode, buffer, fuse, decode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.errors import BufferUnavailable, CellsenseError, EngineFailure, Overloaded, TimestampConflict
from service.metrics import Metrics
from service.pipeline.answers import Answer
from service.pipeline.assembly import fuse_inputs
from service.pipeline.decoding import finite_rows
from service.pipeline.normalise import ModelBatch, Place
from service.pipeline.observing import observe_answers
from service.pipeline.outcomes import Outcome, frame_outcomes, not_finite
from service.telemetry.stages import Stages
from service.trajectory.buffer import TrajectoryBuffer
from service.trajectory.vertex import Trajectory, TrajectoryKey, Vertex


class Completion:
    """Answers frames by their models."""

    def __init__(self, buffer: TrajectoryBuffer, metrics: Metrics, stages: Stages) -> None:
        self._buffer, self._metrics, self._stages = buffer, metrics, stages

    async def answer(self, batch: ModelBatch, deadline_s: float) -> dict[Place, Outcome]:
        """The outcome of every frame; `deadline_s` is a time of `time.monotonic()`."""
        try:
            return await self._answer(batch, deadline_s)
        except CellsenseError as error:
            # Only one request may be at fault, and for some of them there may be room in the queue.
            alone = batch.by_request() if isinstance(error, EngineFailure | Overloaded) else []
            if len(alone) < 2:
                return dict.fromkeys(batch.places, error)
        outcomes: dict[Place, Outcome] = {}
        for found in await asyncio.gather(*(self.answer(one, deadline_s) for one in alone)):
            outcomes |= found
        return outcomes

    async def _answer(self, batch: ModelBatch, deadline_s: float) -> dict[Place, Outcome]:
        model, requests = batch.model, len({number for number, _ in batch.places})
        encoded = await model.encode(batch.inputs, deadline_s, requests)
        # The buffer keeps half precision: answer from the same numbers, so that a trajectory read later agrees.
        with np.errstate(over="ignore"):  # what overflows is found in the next line
            embedding = encoded["embedding"].astype(np.float16).astype(np.float32)
        finite = finite_rows(encoded, {"embedding": embedding})
        outcomes: dict[Place, Outcome] = {batch.places[row]: not_finite(model) for row in np.flatnonzero(~finite)}
        rows = np.flatnonzero(finite).tolist()
        remembered, degraded = await self._remember(batch, rows, embedding, requests)
        kept: list[int] = []
        trajectories: list[Trajectory] = []
        for row, trajectory in zip(rows, remembered, strict=True):
            place = batch.places[row]
            if isinstance(trajectory, TimestampConflict):
                outcomes[place] = trajectory.within(f"frames[{place[1]}]")
            else:
                kept.append(row)
                trajectories.append(trajectory)
        if not kept:
            return outcomes
        fused = await model.fuse(fuse_inputs(model.contract, trajectories, batch.text[kept]), deadline_s, requests)
        started_s = time.monotonic()
        frames = {batch.places[row]: batch.entries[row] for row in kept}
        weights = {name: tensor[kept] for name, tensor in encoded.items() if name != "embedding"}
        sites = [batch.sites[row] for row in kept]
        answered = frame_outcomes(model, frames, sites, trajectories, weights, fused, degraded)
        self._stages.record("decode", started_s, time.monotonic(), requests)
        observe_answers(self._metrics, [outcome for outcome in answered.values() if isinstance(outcome, Answer)])
        return outcomes | answered

    async def _remember(
        self, batch: ModelBatch, rows: Sequence[int], embedding: NDArray[np.float32], requests: int
    ) -> tuple[Sequence[Trajectory | TimestampConflict], tuple[str, ...]]:
        """The trajectory that the frame of each row now ends, and what had to be done without."""
        keys, vertices = [], []
        for row in rows:
            entry = batch.entries[row]
            keys.append(TrajectoryKey(entry.site, entry.frame.ue, batch.model.fingerprint))
            carrier_hz = batch.carriers_hz[row]
            vertices.append(Vertex(entry.frame.timestamp_s, batch.digests[row], embedding[row], carrier_hz))
        started_s = time.monotonic()
        try:
            return await self._buffer.append_and_read(keys, vertices, batch.model.contract.steps), ()
        except BufferUnavailable:
            alone = [
                Trajectory(np.array([v.timestamp_s]), v.embedding[None], np.array([v.carrier_hz])) for v in vertices
            ]
            return alone, ("trajectory",)
        finally:
            self._stages.record("buffer", started_s, time.monotonic(), requests)
