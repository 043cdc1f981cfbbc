"""Vertices as bytes: fixed-size records, so that a trajectory is one string in Redis and one array here.

A record is 280 bytes, little-endian: timestamp (float64, s), digest (8 bytes), carrier (float64, Hz, NaN for none),
embedding (128 x float16). The script `append.lua` knows where timestamp and digest are; a change here needs one there,
and another key prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.contract.tensors import EMBEDDING_DIM
from service.trajectory.vertex import DIGEST_BYTES, Trajectory, Vertex

RECORD = np.dtype(
    [("timestamp_s", "<f8"), ("digest", "u1", DIGEST_BYTES), ("carrier_hz", "<f8"), ("embedding", "<f2", EMBEDDING_DIM)]
)
_FLOAT16_MAX = float(np.finfo(np.float16).max)


def pack(vertices: Sequence[Vertex]) -> list[bytes]:
    """A record for each vertex; embeddings saturate at the largest float16.

    Raises:
        ValueError: a timestamp or an embedding is not finite, or a digest or an embedding has another size.
    """
    records = np.zeros(len(vertices), RECORD)
    records["timestamp_s"] = [v.timestamp_s for v in vertices]
    records["carrier_hz"] = [v.carrier_hz for v in vertices]
    if any(len(v.digest) != DIGEST_BYTES for v in vertices):
        raise ValueError(f"digest: expected {DIGEST_BYTES} bytes, got {sorted({len(v.digest) for v in vertices})}")
    records["digest"] = np.frombuffer(b"".join(v.digest for v in vertices), np.uint8).reshape(-1, DIGEST_BYTES)
    embeddings = np.stack([v.embedding for v in vertices])  # [n, D]
    if embeddings.shape[1:] != (EMBEDDING_DIM,):
        raise ValueError(f"embedding: expected shape [{EMBEDDING_DIM}], got {list(embeddings.shape[1:])}")
    records["embedding"] = np.clip(embeddings, -_FLOAT16_MAX, _FLOAT16_MAX)
    if not (np.isfinite(records["timestamp_s"]).all() and np.isfinite(records["embedding"]).all()):
        raise ValueError("vertex: expected a finite timestamp and embedding, got NaN or infinity")
    return [record.tobytes() for record in records]


def unpack(records: bytes) -> Trajectory:
    """The trajectory of consecutive records. Raises `ValueError` on a size that is not a multiple of a record's."""
    array = np.frombuffer(records, RECORD)
    timestamps_s, carriers_hz = (array[name].astype(np.float64) for name in ("timestamp_s", "carrier_hz"))
    return Trajectory(timestamps_s, array["embedding"].astype(np.float32), carriers_hz)
