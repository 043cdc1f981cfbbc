"""Vertices for tests: timestamp, digest and embedding all follow from one number."""

from __future__ import annotations

import numpy as np

from service.contract.tensors import EMBEDDING_DIM
from service.trajectory.vertex import Trajectory, TrajectoryKey, Vertex, content_digest

EPOCH_S = 1_790_000_000.0


def key(ue: str = "ue-1", site: str = "munich", fingerprint: str = "f00d") -> TrajectoryKey:
    return TrajectoryKey(site, ue, fingerprint)


def vertex(step: float, content: str = "") -> Vertex:
    embedding = np.full(EMBEDDING_DIM, step % 1000, np.float32)
    return Vertex(EPOCH_S + step, content_digest(f"{step} {content}".encode()), embedding)


def steps(answer: object) -> list[float]:
    """The numbers that made the vertices of a trajectory; checks that times and embeddings belong together."""
    assert isinstance(answer, Trajectory), answer
    found = answer.timestamps_s - EPOCH_S
    assert np.array_equal(answer.embeddings, np.repeat(found[:, None] % 1000, EMBEDDING_DIM, axis=1))
    return [float(step) for step in found]
