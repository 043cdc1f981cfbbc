"""What is measured of a server: cells, and one measurement of a cell in a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RAW = "raw"  # name of the row without a server
FULL_BATCH = 32  # frames of a large request
_BATCH_CLIENTS = 4  # that send large requests
TINY_CLIENTS = 32  # that ask the tiny model
CENTRAL_CLIENTS = 32  # at which servers are compared


@dataclass(frozen=True)
class Cell:
    """A load: so many clients that each send requests of so many frames to the model."""

    model: str
    clients: int
    frames: int

    def __str__(self) -> str:
        return f"{self.model}, {self.clients} clients × {self.frames} frames"


@dataclass(frozen=True)
class Measurement:
    """Of one cell in one round. Memory is the most of all processes of the server together, see `process_tree`."""

    round: int
    server: str
    cell: Cell
    frames_per_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    errors: int
    cpu_s_per_1000: float
    rss_mib: float
    pss_mib: float


@dataclass(frozen=True)
class Failure:
    """A server that did not start, or did not answer right."""

    server: str
    reason: str


def cells(clients: Sequence[int]) -> tuple[Cell, ...]:
    """One frame a request from so many clients, large requests from a few, and the tiny model."""
    single = (Cell("bench", count, 1) for count in clients)
    return (*single, large_requests(), Cell("tiny", TINY_CLIENTS, 1))


def large_requests() -> Cell:
    """The cell of those that send `FULL_BATCH` frames at once."""
    return Cell("bench", _BATCH_CLIENTS, FULL_BATCH)
