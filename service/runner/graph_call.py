"""One call of a graph, from the queue to its answer; in pieces where it has more rows than a run should have."""

from __future__ import annotations

import math
import time

from service.batching.batcher import Batcher
from service.batching.entry import Entry
from service.engine.merging import join
from service.engine.protocol import Inputs, Outputs
from service.errors import CellsenseError
from service.runner.runner import Done
from service.runner.statistics import GraphStatistics

Piece = Entry[Inputs, Outputs]


class GraphCall:
    """Waits, or runs, or is over.

    Attributes:
        queued_at_s, started_at_s, ended_at_s: times of `time.monotonic()`, once it is answered.
    """

    __slots__ = ("_batcher", "_done", "_left", "_pieces", "_rows", "_statistics", "queued_at_s")

    def __init__(
        self,
        batcher: Batcher[Inputs, Outputs],
        statistics: GraphStatistics,
        pieces: list[Inputs],
        sizes: list[int],
        deadline_s: float,
        done: Done,
    ) -> None:
        """Put the pieces in the queue. Raises what `Batcher.enqueue` raises."""
        self._batcher, self._statistics = batcher, statistics
        self._rows, self._left, self._done = sum(sizes), len(pieces), done
        self.queued_at_s = time.monotonic()
        try:
            self._pieces: list[Piece] = batcher.enqueue(pieces, deadline_s, self._answered, sizes)
        except CellsenseError:
            statistics.failed(time.monotonic() - self.queued_at_s)
            raise

    @property
    def started_at_s(self) -> float:
        """When the first piece was started."""
        return min(piece.started_at_s for piece in self._pieces)

    @property
    def ended_at_s(self) -> float:
        """When the last piece was answered."""
        return max(piece.ended_at_s for piece in self._pieces)

    @property
    def reads_inputs(self) -> bool:
        """Whether a run may still read the inputs: one that nobody waits for any more runs on."""
        return any(piece.taken and math.isnan(piece.ended_at_s) for piece in self._pieces)

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        if self._left > 0:
            self._end()

    def _answered(self, piece: Piece) -> None:
        piece.done = _nobody  # else tensors would stay until somebody looks for cycles
        if self._left <= 0:
            return  # an earlier piece failed
        if piece.error is not None:
            self._end()
            self._done(piece.error)
            return
        self._left -= 1
        if self._left > 0:
            return
        alone = len(self._pieces) == 1  # most often: the rest is spared
        started_s, ended_s = (piece.started_at_s, piece.ended_at_s) if alone else (self.started_at_s, self.ended_at_s)
        self._statistics.answered(self._rows, started_s - self.queued_at_s, ended_s - self.queued_at_s)
        self._done(piece.answer if alone else join([each.answer for each in self._pieces]))

    def _end(self) -> None:
        """Let go of the pieces that are left."""
        self._left = 0
        self._batcher.abandon(self._pieces)
        for piece in self._pieces:
            piece.done = _nobody
        self._statistics.failed(time.monotonic() - self.queued_at_s)


def _nobody(_: Piece) -> None:
    """Whoever waited knows."""
