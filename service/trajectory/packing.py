"""Vertices as bytes: fixed-size records, so that a trajectory is one string in Redis and one array here.

A record is 280 bytes, little-endian: timestamp (float64, s), digest (8 bytes), carrier (float64, Hz, NaN for none),
embedding (128 x float16). The script `append.lua` knows where timestamp and digest are; a change here needs one there,
and another key prefix.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from service.contract.tensors import EMBEDDING_DIM
from service.trajectory.vertex import DIGEST_BYTES, Trajectory, Vertex

RECORD = np.dtype(
    [("timestamp_s", "<f8"), ("digest", "u1", DIGEST_BYTES), ("carrier_hz", "<f8"), ("embedding", "<f2", EMBEDDING_DIM)]
)
_HEAD = struct.Struct(f"<d{DIGEST_BYTES}sd")
_HALVES_BYTES = 2 * EMBEDDING_DIM
_FLOAT16_MAX = float(np.finfo(np.float16).max)


def pack(vertices: Sequence[Vertex]) -> bytes:
    """A record for each vertex, one after the other; embeddings saturate at the largest float16.

    Raises:
        ValueError: a timestamp or an embedding is not finite, or a digest or an embedding has another size.
    """
    if any(len(v.digest) != DIGEST_BYTES for v in vertices):
        raise ValueError(f"digest: expected {DIGEST_BYTES} bytes, got {sorted({len(v.digest) for v in vertices})}")
    embeddings = np.array([v.embedding for v in vertices])  # [n, D]
    if embeddings.shape[1:] != (EMBEDDING_DIM,):
        raise ValueError(f"embedding: expected shape [{EMBEDDING_DIM}], got {list(embeddings.shape[1:])}")
    if not (np.isfinite(embeddings).all() and all(math.isfinite(v.timestamp_s) for v in vertices)):
        raise ValueError("vertex: expected a finite timestamp and embedding, got NaN or infinity")
    halves = embeddings.clip(-_FLOAT16_MAX, _FLOAT16_MAX).astype("<f2").tobytes()
    return b"".join(
        [
            _HEAD.pack(v.timestamp_s, v.digest, v.carrier_hz) + halves[row * _HALVES_BYTES : (row + 1) * _HALVES_BYTES]
            for row, v in enumerate(vertices)
        ]
    )


def unpack(records: bytes) -> Trajectory:
    """The trajectory of consecutive records. Raises `ValueError` on a size that is not a multiple of a record's."""
    array = np.frombuffer(records, RECORD)
    timestamps_s, carriers_hz = (array[name].astype(np.float64) for name in ("timestamp_s", "carrier_hz"))
    return Trajectory(timestamps_s, array["embedding"].astype(np.float32), carriers_hz)
