"""What is buffered of a UE, and where: vertices, trajectories and their keys."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

import numpy as np
import xxhash
from numpy.typing import NDArray

DIGEST_BYTES = 8


@dataclass(frozen=True)
class TrajectoryKey:
    """Whose trajectory.

    Attributes:
        site: name of the site.
        ue: identity of the UE within the site, any Unicode.
        fingerprint: what made the embeddings; those of different models must never meet in one trajectory.
    """

    site: str
    ue: str
    fingerprint: str

    def redis_key(self) -> str:
        """The key in Redis, printable ASCII and different for different trajectories.

        Site and UE are the hash tag: on a cluster, all that is known of a UE lives on one node.
        """
        return f"cellsense:path:{{{_quoted(self.site)}/{_quoted(self.ue)}}}:{_quoted(self.fingerprint)}"


@lru_cache(4096)
def _quoted(part: str) -> str:
    return quote(part, safe="", errors="surrogatepass")


@dataclass(frozen=True, eq=False)
class Vertex:
    """One frame of a UE, as it is buffered.

    Attributes:
        timestamp_s: Unix time of the frame.
        digest: 8 bytes that identify the frame's raw content (`content_digest`): a retry carries the same ones.
        embedding: float32 `[EMBEDDING_DIM]`, buffered as float16.
        carrier_hz: that it was measured on, NaN for a frame without CSI.
    """

    timestamp_s: float
    digest: bytes
    embedding: NDArray[np.float32]
    carrier_hz: float = math.nan


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The buffered frames of one UE, oldest first.

    Attributes:
        timestamps_s: float64 `[n]`, Unix time, strictly increasing.
        embeddings: float32 `[n, EMBEDDING_DIM]`, of float16 precision.
        carriers_hz: float64 `[n]`, NaN for frames without CSI.
    """

    timestamps_s: NDArray[np.float64]
    embeddings: NDArray[np.float32]
    carriers_hz: NDArray[np.float64]

    def until(self, end: int) -> Trajectory:
        """The first `end` frames."""
        return self.between(0, end)

    def between(self, start: int, end: int) -> Trajectory:
        """The frames from `start` to before `end`, which share memory with these."""
        rows = slice(start, end)
        return Trajectory(self.timestamps_s[rows], self.embeddings[rows], self.carriers_hz[rows])

    def __len__(self) -> int:
        return len(self.timestamps_s)


def content_digest(*parts: bytes | NDArray[np.generic] | None) -> bytes:
    """Eight bytes that identify raw content: order, borders and absence of the parts count.

    XXH3, 64 bits: a digest tells a repeated frame from another one of the same UE and need not withstand anybody.
    """
    digest = xxhash.xxh3_64()
    for part in parts:
        content = part.tobytes() if isinstance(part, np.ndarray) else part
        size = -1 if content is None else len(content)
        digest.update(size.to_bytes(8, "little", signed=True))
        digest.update(content or b"")
    return digest.digest()
