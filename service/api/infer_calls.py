"""Infer calls without the framework: from a head and the bytes of a body to the bytes of an answer.

What `service.api.infer` does for a route of the framework, and with the same answers; here without a task, a future or
a copy of a tensor. Errors, metrics and the line in the log are those of any other request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache

import structlog
from prometheus_client import Histogram

from service.api.accounting import count_request
from service.api.body import body_too_slow
from service.api.gateway import Gateway
from service.api.infer import BINARY, JSON, SMALL_JSON_BYTES, failed_run
from service.api.infer_heads import InferHead, InferHeads
from service.api.observe import REQUEST_ID, new_request_id
from service.api.problems import HttpProblem, problem_response
from service.engine.protocol import Outputs
from service.errors import CellsenseError, EngineFailure
from service.oip.codec import HEADER_LENGTH, InferRequest, write_response
from service.runner.runner import Call, Runner

GONE = 499  # status of a call whose client went away: nobody reads it, but it is counted

Answered = Callable[[int, bytes, list[bytes | memoryview]], None]
"""Takes status, lines of the head and parts of the body of an answer."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class InferCalls:
    """Begins calls, on one event loop, and counts them."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.heads = InferHeads()
        self.verbose = gateway.settings.log_level == "debug"  # at a thousand calls a second the rest is not logged
        self._traffic = gateway.metrics.traffic
        self._durations: dict[tuple[str, int], Histogram] = {}
        self._more_in_flight = 0  # than was reported
        self._reporting = False

    def admit(self, head: InferHead) -> bool:
        """Take room for the body of a call, to be given back by `release`; False where there is none.

        What is not admitted is for the framework, which says why.
        """
        bodies, json_bytes = self.gateway.bodies, head.document_bytes
        room = bodies.max_inflight_bytes - bodies.inflight_bytes
        if json_bytes is None or json_bytes > SMALL_JSON_BYTES or head.body_bytes > min(bodies.max_body_bytes, room):
            return False
        bodies.inflight_bytes += head.body_bytes
        return True

    def release(self, head: InferHead) -> None:
        """The body of a call is not held any more."""
        self.gateway.bodies.inflight_bytes -= head.body_bytes

    def begin(self, head: InferHead, body: memoryview, started_s: float, answered: Answered) -> InferCall | None:
        """Answer a call, at once where it fails at once; None then.

        Args:
            head: that was admitted.
            body: all of it; stays as it is until the call is answered and no engine reads it any more.
            started_s: time of `time.monotonic()` at which it began to arrive.
            answered: called with the answer, unless the call is cancelled before.
        """
        call = InferCall(self, head, started_s, answered)
        return call if call.begin(body) else None

    def too_slow(self, head: InferHead, got_bytes: int, started_s: float, answered: Answered) -> None:
        """Answer a call whose body did not arrive in time."""
        error = body_too_slow(self.gateway.bodies.timeout_s, got_bytes)
        self.begun()
        InferCall(self, head, started_s, answered).fail(error)

    def count(self, head: InferHead, status: int, started_s: float, error: Exception | None, identity: str) -> None:
        """A call is over."""
        duration_s = time.monotonic() - started_s
        found = self._durations.get((head.route, status))
        if found is None:
            found = self._traffic.request_duration.labels(head.route, "POST", status)
            self._durations[head.route, status] = found
        found.observe(duration_s)
        self._in_flight(-1)
        if error is None and not self.verbose:
            return
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=identity)
        if error is not None:
            count_request(self._traffic, error)
        say = log.debug if error is None else log.info
        say("request", method="POST", route=head.route, status=status, duration_s=round(duration_s, 6))

    def begun(self) -> None:
        """A call is being answered."""
        self._in_flight(1)

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


class InferCall:
    """One call, being answered.

    Attributes:
        clean: whether the engine has let go of the body for certain: not after a call that was cancelled or too late.
    """

    __slots__ = ("_answered", "_call", "_calls", "_head", "_request", "_runner", "_started_s", "clean", "identity")

    def __init__(self, calls: InferCalls, head: InferHead, started_s: float, answered: Answered) -> None:
        self._calls, self._head, self._started_s, self._answered = calls, head, started_s, answered
        self._call: Call | None = None
        self._request: InferRequest
        self._runner: Runner
        self.clean = True
        self.identity = new_request_id(head.request_id)

    def begin(self, body: memoryview) -> bool:
        """Whether it waits now; if not, it has been answered."""
        gateway, head = self._calls.gateway, self._head
        self._calls.begun()
        now_s = time.monotonic()
        try:
            self._runner = gateway.repository.runner(head.model, head.version)
            self._request = gateway.inference.read(body, head.header_length, self._runner)
            patience_s, asked_s = gateway.settings.deadline_s, self._request.timeout_s
            if asked_s is not None and asked_s < patience_s:
                patience_s = asked_s
            self._call = self._runner.enqueue(self._request.inputs, now_s + patience_s, self._done)
        except CellsenseError as error:
            self.fail(error)
            return False
        return True

    def cancel(self) -> None:
        """The client went away."""
        if self._call is not None:
            self._call.cancel()
            self._call, self.clean = None, False
            self._calls.count(self._head, GONE, self._started_s, None, self.identity)

    def _done(self, outcome: Outputs | CellsenseError) -> None:
        self._call = None
        if isinstance(outcome, CellsenseError):
            self._failed(outcome)
            return
        try:
            parts, json_bytes = write_response(self._request, outcome, self._runner.name, self._runner.version)
        except CellsenseError as error:
            self.fail(error)
            return
        self._calls.count(self._head, 200, self._started_s, None, self.identity)
        lines = _lines(sum(map(len, parts)), json_bytes) + b"x-request-id: %b\r\n" % self.identity.encode()
        self._answered(200, lines, parts)

    def _failed(self, error: CellsenseError) -> None:
        if isinstance(error, EngineFailure):
            self.fail(failed_run(self._runner.name, error))
            return
        self.clean = False  # too late, most likely: a run may be reading it still
        self.fail(error)

    def fail(self, error: CellsenseError | HttpProblem) -> None:
        """Answer with a problem."""
        response = problem_response(error, {REQUEST_ID: self.identity})
        self._calls.count(self._head, response.status_code, self._started_s, error, self.identity)
        lines = b"".join([b"%b: %b\r\n" % header for header in response.raw_headers])
        self._answered(response.status_code, lines, [bytes(response.body)])


@lru_cache(1024)
def _lines(size: int, json_bytes: int | None) -> bytes:
    """What the head of an answer says of a body of so many bytes, of which so many are its document."""
    if json_bytes is None:
        return f"content-type: {JSON}\r\ncontent-length: {size}\r\n".encode()
    document = f"{HEADER_LENGTH.lower()}: {json_bytes}\r\n"
    return f"content-type: {BINARY}\r\ncontent-length: {size}\r\n{document}".encode()
