"""The second half of a frame's path: from its embedding through buffer and fusion to the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.engine.protocol import Outputs
from service.errors import BufferUnavailable, CellsenseError, EngineFailure, Overloaded, TimestampConflict
from service.metrics import Metrics
from service.pipeline.answers import Answer
from service.pipeline.assembly import fuse_inputs
from service.pipeline.decoding import finite_rows
from service.pipeline.model import Model
from service.pipeline.normalise import ModelBatch
from service.pipeline.observing import observe_answers
from service.pipeline.outcomes import Outcomes, Place, frame_outcomes, not_finite
from service.pipeline.together import Together
from service.telemetry.stages import Stages
from service.trajectory.buffer import TrajectoryBuffer
from service.trajectory.vertex import Trajectory, TrajectoryKey, Vertex


@dataclass(frozen=True, eq=False)
class Encoded:
    """The frames of a request that one model encoded.

    Attributes:
        group: the frames.
        outputs: of the model's `encode` graph.
        deadline_s: time of `time.monotonic()` after which their answer is of no use.
        outcomes: of the request, to which theirs are added.
    """

    group: ModelBatch
    outputs: Outputs
    deadline_s: float
    outcomes: Outcomes


class Completion:
    """Answers encoded frames of one model, those of all requests together that one run of the encoder has answered."""

    def __init__(self, model: Model, buffer: TrajectoryBuffer, metrics: Metrics, stages: Stages) -> None:
        self._model, self._buffer, self._metrics, self._stages = model, buffer, metrics, stages
        self._together = Together(self._complete)

    async def answer(self, encoded: Encoded) -> None:
        """Add the outcome of every frame."""
        if self._stages.traced:
            await self._complete([encoded])
        else:
            await self._together.do(encoded)

    async def _complete(self, requests: Sequence[Encoded]) -> None:
        try:
            await self._fuse_and_decode(requests)
        except CellsenseError as error:
            # Only one of them may be at fault, and for some of them there may be room in the queue.
            if isinstance(error, EngineFailure | Overloaded) and len(requests) > 1:
                await asyncio.gather(*(self._complete([request]) for request in requests))
                return
            for request in requests:
                for index in request.group.indices:
                    request.outcomes.setdefault(index, error)

    async def _fuse_and_decode(self, requests: Sequence[Encoded]) -> None:
        """Buffer, fuse and decode the frames of some requests."""
        batch = _Batch(requests)
        # The buffer keeps half precision: answer from the same numbers, so that a trajectory read later agrees.
        with np.errstate(over="ignore"):  # what overflows is found in the next line
            embedding = batch.outputs["embedding"].astype(np.float16).astype(np.float32)
        finite = finite_rows(batch.outputs, {"embedding": embedding})
        for row in np.flatnonzero(~finite).tolist():
            batch.fail(row, not_finite(self._model))
        rows = np.flatnonzero(finite).tolist()
        remembered, degraded = await self._remember(batch, rows, embedding)
        kept: list[int] = []
        trajectories: list[Trajectory] = []
        for row, trajectory in zip(rows, remembered, strict=True):
            if isinstance(trajectory, TimestampConflict):
                batch.fail(row, trajectory.within(f"frames[{batch.places[row][1]}]"))
            else:
                kept.append(row)
                trajectories.append(trajectory)
        if not kept:
            return
        deadline_s = max(request.deadline_s for request in requests)
        inputs = fuse_inputs(self._model.contract, trajectories, batch.text[kept])
        fused = await self._model.fuse(inputs, deadline_s, len(requests))
        started_s = time.monotonic()
        frames = {batch.places[row]: batch.entries[row] for row in kept}
        weights = {name: tensor[kept] for name, tensor in batch.outputs.items() if name != "embedding"}
        sites = [batch.sites[row] for row in kept]
        answered = frame_outcomes(self._model, frames, sites, trajectories, weights, fused, degraded)
        for (number, index), outcome in answered.items():
            requests[number].outcomes[index] = outcome
        self._stages.record("decode", started_s, time.monotonic(), len(requests))
        observe_answers(self._metrics, [outcome for outcome in answered.values() if isinstance(outcome, Answer)])

    async def _remember(
        self, batch: _Batch, rows: Sequence[int], embedding: NDArray[np.float32]
    ) -> tuple[Sequence[Trajectory | TimestampConflict], tuple[str, ...]]:
        """The trajectory that the frame of each row now ends, and what had to be done without."""
        keys, vertices = [], []
        for row in rows:
            entry = batch.entries[row]
            keys.append(TrajectoryKey(entry.site, entry.frame.ue, self._model.fingerprint))
            carrier_hz = batch.carriers_hz[row]
            vertices.append(Vertex(entry.frame.timestamp_s, batch.digests[row], embedding[row], carrier_hz))
        started_s = time.monotonic()
        try:
            return await self._buffer.append_and_read(keys, vertices, self._model.contract.steps), ()
        except BufferUnavailable:
            alone = [
                Trajectory(np.array([v.timestamp_s]), v.embedding[None], np.array([v.carrier_hz])) for v in vertices
            ]
            return alone, ("trajectory",)
        finally:
            self._stages.record("buffer", started_s, time.monotonic(), batch.requests)


class _Batch:
    """The frames of some requests, one after the other; the attributes are those of `ModelBatch`."""

    def __init__(self, requests: Sequence[Encoded]) -> None:
        groups = [request.group for request in requests]
        self.requests = len(requests)
        self.places: list[Place] = [(number, index) for number, group in enumerate(groups) for index in group.indices]
        self.entries = [entry for group in groups for entry in group.entries]
        self.sites = [site for group in groups for site in group.sites]
        self.digests = [digest for group in groups for digest in group.digests]
        self.carriers_hz = [carrier_hz for group in groups for carrier_hz in group.carriers_hz]
        self.text = _joined([group.text for group in groups])
        self.outputs: Outputs = {
            name: _joined([request.outputs[name] for request in requests]) for name in requests[0].outputs
        }
        self._outcomes = [request.outcomes for request in requests]

    def fail(self, row: int, error: CellsenseError) -> None:
        """What became of the frame of a row."""
        number, index = self.places[row]
        self._outcomes[number][index] = error


def _joined(tensors: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
    return tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
