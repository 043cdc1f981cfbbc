"""Calls that are answered without the framework: from a head and the bytes of a body to the bytes of an answer.

What the routes of the framework do, and with the same answers; here without a task, a scope or a copy of the body.
Errors, metrics and the line in the log are those of any other request.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import structlog
from prometheus_client import Histogram
from starlette.responses import Response

from service.api.accounting import count_request
from service.api.body import body_too_slow
from service.api.gateway import Gateway
from service.api.observe import new_request_id
from service.api.problems import problem_response

GONE = 499  # status of a call whose client went away: nobody reads it, but it is counted

Answered = Callable[[int, bytes, list[bytes | memoryview]], None]
"""Takes status, lines of the head and parts of the body of an answer."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class CallHead(Protocol):
    """What a head says of a call."""

    @property
    def route(self) -> str:
        """Template of its path, for metrics."""

    @property
    def body_bytes(self) -> int:
        """Length of its body."""

    @property
    def tensors_at(self) -> int:
        """Bytes of the body before its first tensor that is read where it lies; 0 for none."""

    @property
    def request_id(self) -> bytes | None:
        """As the caller gave it, None where it did not."""


AHead = TypeVar("AHead", bound=CallHead)


class PlainCalls(ABC, Generic[AHead]):
    """Begins calls of one kind, on one event loop."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._traffic = gateway.metrics.traffic
        self._durations: dict[tuple[str, int], Histogram] = {}
        self._more_in_flight = 0  # than was reported
        self._reporting = False

    def admit(self, head: AHead) -> bool:
        """Take room for the body of a call, to be given back by `release`; False where there is none.

        From now on it is in flight. What is not admitted is for the framework, which says why.
        """
        bodies = self.gateway.bodies
        room = bodies.max_inflight_bytes - bodies.inflight_bytes
        if head.body_bytes > min(bodies.max_body_bytes, room):
            return False
        bodies.inflight_bytes += head.body_bytes
        self._in_flight(1)
        return True

    def release(self, head: AHead) -> None:
        """A call is answered, or its client has gone: its body is not held any more."""
        self.gateway.bodies.inflight_bytes -= head.body_bytes
        self._in_flight(-1)

    @abstractmethod
    def begin(self, head: AHead, body: memoryview, started_s: float, answered: Answered) -> PlainCall[AHead] | None:
        """Answer a call, at once where it fails at once; None then.

        Args:
            head: that was admitted.
            body: all of it; stays as it is until the call is answered and nobody reads it any more.
            started_s: time of `time.monotonic()` at which it began to arrive.
            answered: called with the answer, unless the call is cancelled before.
        """

    def too_slow(self, head: AHead, got_bytes: int, started_s: float, answered: Answered) -> None:
        """Answer a call whose body did not arrive in time."""
        PlainCall(self, head, started_s, answered).fail(body_too_slow(self.gateway.bodies.timeout_s, got_bytes))

    def ended(self, head: AHead, status: int, started_s: float) -> float:
        """A call is over; the seconds that it took."""
        duration_s = time.monotonic() - started_s
        found = self._durations.get((head.route, status))
        if found is None:
            found = self._traffic.request_duration.labels(head.route, "POST", status)
            self._durations[head.route, status] = found
        found.observe(duration_s)
        return duration_s

    def _in_flight(self, more: int) -> None:
        """Reported once a turn of the loop: as many begin as end in one."""
        self._more_in_flight += more
        if not self._reporting:
            self._reporting = True
            asyncio.get_running_loop().call_soon(self._report)

    def _report(self) -> None:
        more, self._more_in_flight, self._reporting = self._more_in_flight, 0, False
        if more:
            self._traffic.requests_in_flight.inc(more)


class PlainCall(Generic[AHead]):
    """One call, being answered.

    Attributes:
        clean: whether everybody has let go of the body for certain.
        identity: of the request, for the answer and the log.
    """

    __slots__ = ("_answered", "_calls", "_head", "_started_s", "clean", "identity")

    def __init__(self, calls: PlainCalls[AHead], head: AHead, started_s: float, answered: Answered) -> None:
        self._calls, self._head, self._started_s, self._answered = calls, head, started_s, answered
        self.clean = True
        self.identity = new_request_id(head.request_id)

    def cancel(self) -> None:
        """The client went away."""
        self.end(GONE)

    def fail(self, error: Exception) -> None:
        """Answer with a problem."""
        self.bind()
        count_request(self._calls.gateway.metrics.traffic, error)
        self.respond(problem_response(error))

    def respond(self, response: Response) -> None:
        """Answer."""
        self.end(response.status_code)
        lines = b"".join([b"%b: %b\r\n" % header for header in response.raw_headers])
        self._answered(response.status_code, self.identified(lines), [bytes(response.body)])

    def identified(self, lines: bytes) -> bytes:
        """Lines of a head, and the one with the identity of the request."""
        return lines + b"x-request-id: %b\r\n" % self.identity.encode()

    def bind(self) -> None:
        """What is logged from now on is of this request."""
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=self.identity)

    def end(self, status: int) -> None:
        """It is over: counted, and a line in the log."""
        duration_s = round(self._calls.ended(self._head, status, self._started_s), 6)
        log.info("request", method="POST", route=self._head.route, status=status, duration_s=duration_s)
