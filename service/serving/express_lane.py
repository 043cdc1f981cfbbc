"""What the connections of one process share: the calls that they begin, and who looks after those that wait."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Protocol

import numpy as np
from fastapi import FastAPI
from uvicorn.server import ServerState

from service.api.gateway import Gateway
from service.api.infer_calls import InferCalls
from service.api.infer_heads import InferHead, infer_head
from service.api.plain_calls import CallHead, PlainCalls
from service.api.plain_heads import KnownHeads, PlainHead
from service.api.sense_calls import SenseCalls, sense_head
from service.engine.alignment import aligned_empty
from service.errors import Overloaded, PayloadTooLarge
from service.remote.mirror import Mirror
from service.remote.segment import Slot

TIDY_S = 1.0
PASSED_ON_BYTES = 1 << 18  # that are read at a time for uvicorn: a scene with its picture


class Connection(Protocol):
    """What is asked of a connection."""

    def tidy(self, now_s: float) -> None:
        """Look whether it has waited too long, by a time of `time.monotonic()`."""


class ExpressLane:
    """Belongs to one event loop.

    Attributes:
        heads: reads heads of calls.
        loop: the event loop.
        body_timeout_s: that a body may take to arrive.
        passed_on: where connections receive what they pass on at once. One for all of them: it is empty again before
            the next one reads.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.heads = KnownHeads(_call_head)
        self._infer, self._sense = InferCalls(gateway), SenseCalls(gateway)
        self.loop = asyncio.get_running_loop()
        self.body_timeout_s = gateway.settings.body_timeout_s
        self.passed_on = memoryview(bytearray(PASSED_ON_BYTES))
        self._segment = gateway.repository.link.segment if isinstance(gateway.repository, Mirror) else None
        self._connections: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""

    @classmethod
    def of(cls, app: FastAPI) -> ExpressLane:
        """That of an application."""
        lane = getattr(app.state, "express_lane", None)
        if not isinstance(lane, cls):
            lane = app.state.express_lane = cls(app.state.gateway)
        return lane

    def calls(self, head: CallHead) -> PlainCalls[Any]:
        """What begins calls with such heads."""
        return self._infer if isinstance(head, InferHead) else self._sense

    def enter(self, connection: Connection) -> None:
        """A connection was made. One timer looks after all of them: one each would cost more than the rest."""
        self._connections.add(connection)
        if self._timer is None:
            self._timer = self.loop.call_later(TIDY_S, self._tidy)

    def room(self, size: int) -> tuple[memoryview, Slot | None]:
        """So many bytes in which a connection receives requests, for which tensors lie as they should.

        Where models run in another process they are in memory that it shares, in a slot to be released, as long as
        there is room: then tensors are read where they were received.
        """
        if self._segment is not None:
            with contextlib.suppress(Overloaded, PayloadTooLarge):
                slot = self._segment.take(size)
                return slot.view, slot
        return aligned_empty((size,), np.uint8).data, None  # not zeroed

    def leave(self, connection: Connection) -> None:
        """A connection was lost."""
        self._connections.discard(connection)

    def default_lines(self, state: ServerState) -> bytes:
        """The headers that uvicorn adds to every answer: it makes them anew once a second."""
        if state.default_headers is not self._default_headers:
            self._default_headers = state.default_headers
            self._default_lines = b"".join([b"%b: %b\r\n" % header for header in state.default_headers])
        return self._default_lines

    def _tidy(self) -> None:
        now_s = time.monotonic()
        for connection in list(self._connections):
            connection.tidy(now_s)
        self._timer = self.loop.call_later(TIDY_S, self._tidy) if self._connections else None


def _call_head(plain: PlainHead) -> CallHead | None:
    return infer_head(plain) or sense_head(plain)
