"""A connection on which calls go straight from their bytes to the queue of their model, or to their turn.

At a millisecond a frame, what a server and a framework do for a request is a fifth of the work: bodies put together
from chunks and copied, tasks, events, scopes, routing. Here the bytes of a call are received where its tensors are
then read, and its answer is written by the very call in which the model's answer arrives. All other requests, and
calls of unusual kinds, go to uvicorn's own protocol on the same connection, and so to the application.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from service.api.plain_calls import CallHead, PlainCall
from service.api.plain_heads import HEAD_END, LONGEST_HEAD
from service.engine.alignment import ALIGNMENT
from service.remote.segment import Slot
from service.serving.express_lane import TIDY_S, ExpressLane

FIRST_BYTES = 16_384  # of the buffer of a connection, before it is known how many it needs
AHEAD_BYTES = 4096  # that are read at a time while a call is being answered
MOST_AHEAD_BYTES = 65_536  # that are read before an answer is written
_CALLS = (b"POST /v2/models/", b"POST /v1/sense ")


class _Inner(HttpToolsProtocol):
    """Uvicorn's own, which says whether it is between two requests."""

    between = True

    def on_message_begin(self) -> None:
        self.between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self.between = True
        super().on_message_complete()

    @property
    def idle(self) -> bool:
        """Whether what comes next is the head of a request, and nothing is being answered."""
        answered = getattr(self.cycle, "response_complete", True)  # there is no cycle before the first request
        return self.between and answered and not self.pipeline

    def leave(self) -> None:
        """The connection is not its own to close while it is idle."""
        self._unset_keepalive_if_required()


class ExpressProtocol(asyncio.BufferedProtocol):
    """One connection: what uvicorn makes for each. See the module."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._lane = ExpressLane.of(config.loaded_app)
        self._make_inner = partial(_Inner, config, server_state, app_state, _loop)
        self._state = server_state
        self._transport: asyncio.Transport
        self._inner: _Inner | None = None  # from the first request on that is not ours
        self._passing = False  # whether what comes is for the inner one
        self._buffer = memoryview(bytearray(FIRST_BYTES))
        self._slot: Slot | None = None  # that it lies in, if any
        self._start = self._end = 0  # of what is in it
        self._head: CallHead | None = None  # of the call whose body is still to come, or that is being answered
        self._head_bytes = 0
        self._last_head: tuple[bytes, CallHead] | None = None  # clients repeat theirs
        self._answering = False
        self._call: PlainCall[Any] | None = None
        self._ahead_buffer = memoryview(b"")
        self._ahead = b""  # what came while a call was being answered
        self._closing = self._full = self._paused = self._kept = False
        self._keep_alive_s = config.timeout_keep_alive
        self._since_s = time.monotonic()  # of what it waits for: a request, or the rest of one

    # ---- what the event loop and the server call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self._transport = transport  # type: ignore[assignment]
        self._state.connections.add(self)  # type: ignore[arg-type]  # has `shutdown`
        self._lane.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._state.connections.discard(self)
        self._lane.leave(self)
        if self._call is not None:
            self._call.cancel()
        self._let_go()
        self._use(memoryview(b""))
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def shutdown(self) -> None:
        """Close as soon as nothing is being answered."""
        self._closing = True
        if self._passing and self._inner is not None:
            self._inner.shutdown()
        elif self._head is None:
            self._transport.close()

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`: who does not read answers is not asked for more."""
        self._full = True
        if self._inner is not None:
            self._inner.pause_writing()
        self._hold_up()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._full = False
        if self._inner is not None:
            self._inner.resume_writing()
        self._go_on()

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        if self._answering or self._ahead:
            self._ahead_buffer = memoryview(bytearray(AHEAD_BYTES))
            return self._ahead_buffer
        if self._passing:
            return self._lane.passed_on
        if self._end == len(self._buffer):
            self._grow(2 * len(self._buffer))
        return self._buffer[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        if self._answering or self._ahead:  # which has to be taken up first
            self._ahead += self._ahead_buffer[:nbytes]
            if len(self._ahead) > MOST_AHEAD_BYTES:
                self._hold_up()
            return
        if self._passing:
            self._take(bytes(self._lane.passed_on[:nbytes]))
            return
        self._end += nbytes
        self._advance()

    # ---- from bytes to calls

    def _take(self, data: bytes) -> None:
        """Take what did not come into the buffer."""
        if self._passing:
            assert self._inner is not None, "passing means that there is one"
            if not self._inner.idle:
                self._inner.data_received(data)
                return
            self._inner.leave()
            self._passing = False
        if self._end + len(data) > len(self._buffer):
            self._grow(self._end + len(data))
        self._buffer[self._end : self._end + len(data)] = data
        self._end += len(data)
        self._advance()

    def _advance(self) -> None:
        """Do what can be done with what is in the buffer."""
        if self._head is None and not self._read_head():
            return
        head = self._head
        assert head is not None, "it was read"
        begin = self._start + self._head_bytes
        end = begin + head.body_bytes
        if self._end < end:
            return
        self._ahead = bytes(self._buffer[end : self._end])
        self._answering = True
        self._call = self._lane.calls(head).begin(head, self._buffer[begin:end], self._since_s, self._answered)

    def _read_head(self) -> bool:
        """Whether there is the head of a call that may be answered here."""
        start, head, size = self._start, None, 0
        if self._last_head is not None:
            text, last = self._last_head
            size = len(text)
            if size <= self._end - start and self._buffer[start : start + size].tobytes() == text:
                head = last
        if head is None:
            seen = bytes(self._buffer[start : min(self._end, start + LONGEST_HEAD)])
            size = seen.find(HEAD_END) + len(HEAD_END)
            if size < len(HEAD_END):  # not found
                ours = seen.startswith(_CALLS) or any(call.startswith(seen) for call in _CALLS)
                if not ours or len(seen) == LONGEST_HEAD:
                    self._pass_on()
                return False
            if seen.startswith(_CALLS):
                head = self._lane.heads.read(seen[:size])
            self._last_head = None if head is None else (seen[:size], head)
        self._since_s = time.monotonic()
        if head is None or not self._lane.calls(head).admit(head):
            self._pass_on()
            return False
        self._head, self._head_bytes = head, size
        if self._start + size + head.body_bytes > len(self._buffer):
            self._grow(size + head.body_bytes + ALIGNMENT)
        return True

    def _pass_on(self) -> None:
        """Give what is in the buffer to uvicorn's own protocol."""
        self._passing = True
        if self._inner is None:
            self._inner = self._make_inner()
            self._inner.connection_made(self._transport)
            self._state.connections.discard(self._inner)  # one entry a connection: this one
        data = bytes(self._buffer[self._start : self._end])
        self._start = self._end = 0
        self._inner.data_received(data)

    # ---- from answers to bytes

    def _answered(self, status: int, lines: bytes, body: list[bytes | memoryview]) -> None:
        end = b"connection: close\r\n\r\n" if self._closing else b"\r\n"
        self._transport.write(b"".join((STATUS_LINE[status], self._lane.default_lines(self._state), lines, end, *body)))
        self._state.total_requests += 1
        clean = self._call is None or self._call.clean
        self._call = None
        self._answering = False
        if not clean:
            self._use(memoryview(bytearray(FIRST_BYTES)))  # a run may be reading from the other one
        # Next time the same: then its tensors will lie where the processor likes them.
        self._start = self._end = self._aligned_start() if clean else 0
        self._let_go()
        self._kept, self._since_s = True, time.monotonic()
        if self._closing:
            self._transport.close()
        elif self._ahead or self._paused:
            self._lane.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Take up what came while a call was being answered, and read on."""
        if self._answering or self._full or self._transport.is_closing():
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        ahead, self._ahead = self._ahead, b""
        if ahead:
            self._take(ahead)

    def _hold_up(self) -> None:
        if not self._paused and not self._passing and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    # ---- the buffer

    def _aligned_start(self) -> int:
        head = self._head
        if head is None or not head.tensors_at:
            return 0
        return -(self._head_bytes + head.tensors_at) % ALIGNMENT

    def _grow(self, size: int) -> None:
        grown, slot = self._lane.room(size)
        start, held = self._aligned_start(), self._end - self._start
        if start + held > size:
            start = 0
        grown[start : start + held] = self._buffer[self._start : self._end]
        self._use(grown, slot)
        self._start, self._end = start, start + held

    def _use(self, buffer: memoryview, slot: Slot | None = None) -> None:
        """Receive in other memory from now on; who still reads from the old one keeps it."""
        if self._slot is not None:
            self._slot.release()
        self._buffer, self._slot = buffer, slot

    def _let_go(self) -> None:
        if self._head is not None:
            self._lane.calls(self._head).release(self._head)
            self._head = None

    # ---- once a second

    def tidy(self, now_s: float) -> None:
        """Close what has waited too long, and give back a large buffer that nobody uses."""
        waited_s = now_s - self._since_s
        if self._answering or self._passing or waited_s < TIDY_S:
            return
        if self._head is not None:
            if waited_s > self._lane.body_timeout_s:
                self._closing = self._answering = True
                held = self._end - self._start - self._head_bytes
                self._lane.calls(self._head).too_slow(self._head, held, self._since_s, self._answered)
        elif self._end > self._start:  # a head that does not go on
            if waited_s > self._lane.body_timeout_s:
                self._transport.close()
        elif self._kept and waited_s > self._keep_alive_s:
            self._transport.close()
        elif len(self._buffer) > FIRST_BYTES:
            self._use(memoryview(bytearray(FIRST_BYTES)))
            self._start = self._end = 0
