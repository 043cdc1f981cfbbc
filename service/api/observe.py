"""Sees every request from outside: its id, its time, its span, its line in the log."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from contextlib import nullcontext
from itertools import count

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics.traffic import TrafficMetrics
from service.telemetry.tracer import RequestSpan, Tracer

REQUEST_ID = "X-Request-Id"
OPERATION = frozenset(("/healthz", "/readyz", "/metrics"))  # asked all the time, by machines
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_HEADER = REQUEST_ID.lower().encode()
_PROCESS, _NUMBER = secrets.token_hex(8), count()  # a random number a request would take as long as reading its head
_LEGIBLE = re.compile(rb"[A-Za-z0-9_.:+/=-]{1,128}")  # nothing that could forge a line or a header

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class RequestObserver:
    """ASGI middleware. The log has the template of the route, never the path: paths hold names of UEs."""

    def __init__(self, app: ASGIApp, traffic: TrafficMetrics, tracer: Tracer | None) -> None:
        self.app = app
        self.traffic = traffic
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = _Request(scope, self.traffic)
        tracer = None if request.by_machine else self.tracer
        with nullcontext() if tracer is None else tracer.request(request.method, scope["headers"]) as span:
            request.begin(span)

            async def observed_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", ()), (_HEADER, request.id.encode())]
                    request.end(message["status"])
                await send(message)

            try:
                await self.app(scope, receive, observed_send)
            finally:
                request.end(500)  # what nobody foresaw is answered outside of here


class _Request:
    """What is to be said of one request."""

    def __init__(self, scope: Scope, traffic: TrafficMetrics) -> None:
        self.id = scope.setdefault("state", {})["request_id"] = request_id(scope["headers"])
        self.method = scope["method"] if scope["method"] in _METHODS else "other"
        self._scope = scope
        self._traffic = traffic
        self.by_machine = scope["path"] in OPERATION
        self._started_s = time.monotonic()
        self._ended = False
        self._span: RequestSpan | None = None

    def begin(self, span: RequestSpan | None) -> None:
        self._span = span
        # Not undone in the end: a server has a context for each request, and logs what nobody foresaw after it.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=self.id)
        if span is not None:
            structlog.contextvars.bind_contextvars(trace_id=span.trace_id)
        if not self.by_machine:
            self._traffic.requests_in_flight.inc()

    def end(self, status: int) -> None:
        if self._ended:
            return
        self._ended = True
        duration_s = time.monotonic() - self._started_s
        route = getattr(self._scope.get("route"), "path", "unmatched")
        self._traffic.request_duration.labels(route, self.method, status).observe(duration_s)
        if self._span is not None:
            self._span.answered(route, status)
        if not self.by_machine:
            self._traffic.requests_in_flight.dec()
        say = log.debug if self.by_machine else log.info
        say("request", method=self.method, route=route, status=status, duration_s=round(duration_s, 6))


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Id of a request by its headers. See `new_request_id`."""
    return new_request_id(next((value for name, value in headers if name == _HEADER), None))


def new_request_id(given: bytes | None) -> str:
    """The id that the caller gave, where it is legible, else a new one."""
    if given is not None and _LEGIBLE.fullmatch(given):
        return given.decode()
    return f"{_PROCESS}{next(_NUMBER):016x}"
