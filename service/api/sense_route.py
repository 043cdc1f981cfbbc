"""`POST /v1/sense` beneath the framework's routing, in the same process.

At a millisecond a frame, what a framework does for a request is a third of the work of a request with one frame. Where
requests are traced, the call takes the common way, `service.api.routes.sense`; both answer by `answer_sense`.
"""

from __future__ import annotations

import time

import structlog
from prometheus_client import Histogram
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.accounting import count_request
from service.api.gateway import Gateway
from service.api.observe import REQUEST_ID, request_id
from service.api.problems import HttpProblem, problem_response
from service.api.sense import answer_sense
from service.errors import CellsenseError

ROUTE = "/v1/sense"

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class SenseRoute:
    """ASGI middleware: answers batches of frames, passes anything else on."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self.app = app
        self.gateway = gateway
        self._durations: dict[int, Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] != "http" or scope["path"] != ROUTE or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        started_s = time.monotonic()
        identity = scope.setdefault("state", {})["request_id"] = request_id(scope["headers"])
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=identity)
        traffic = self.gateway.metrics.traffic
        traffic.requests_in_flight.inc()
        status = 500
        try:
            response = await self._response(scope, receive, identity)
            status = response.status_code
        except Exception as error:  # that nobody foresaw: said to the client, and left to the server to log
            await problem_response(error, {REQUEST_ID: identity})(scope, receive, send)
            raise
        finally:
            duration_s = time.monotonic() - started_s
            self._duration(status).observe(duration_s)
            traffic.requests_in_flight.dec()
            log.info("request", method="POST", route=ROUTE, status=status, duration_s=round(duration_s, 6))
        await response(scope, receive, send)

    async def _response(self, scope: Scope, receive: Receive, identity: str) -> Response:
        try:
            response = await answer_sense(self.gateway, Headers(raw=scope["headers"]), receive)
        except (CellsenseError, HttpProblem) as error:
            count_request(self.gateway.metrics.traffic, error)
            response = problem_response(error)
        response.headers[REQUEST_ID] = identity
        return response

    def _duration(self, status: int) -> Histogram:
        found = self._durations.get(status)
        if found is None:
            found = self.gateway.metrics.traffic.request_duration.labels(ROUTE, "POST", status)
            self._durations[status] = found
        return found
