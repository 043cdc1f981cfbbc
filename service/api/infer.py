"""The infer call of the Open Inference Protocol v2: the hot route, in as few steps as it takes.

Beneath the framework's routing, in the same process: at a millisecond a frame, what a framework does for a request is a
tenth of the work. Where requests are traced, the call takes the common way.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Iterable

import structlog
from prometheus_client import Histogram
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.accounting import count_request
from service.api.connection import while_connected
from service.api.gateway import Gateway
from service.api.observe import REQUEST_ID, request_id
from service.api.problems import HttpProblem, problem_response
from service.errors import CellsenseError, EngineFailure, InvalidInput, PayloadTooLarge
from service.oip.codec import HEADER_LENGTH, header_size, write_response

BINARY, JSON = "application/octet-stream", "application/json"
SMALL_JSON_BYTES = 16_384  # more of it is parsed in a thread
WATCHED_RUNS = 4  # a request behind more runs than this is given up where its client goes away
_ROUTES = {5: "/v2/models/{model}/infer", 7: "/v2/models/{model}/versions/{version}/infer"}
_WINDOW_BITS = {"gzip": 31, "deflate": 15}

Headers = Iterable[tuple[bytes, bytes]]
log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class InferRoute:
    """ASGI middleware: answers infer calls, passes anything else on."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self.app = app
        self.gateway = gateway
        self.verbose = gateway.settings.log_level == "debug"  # at a thousand calls a second the rest is not logged
        self._durations: dict[tuple[str, int], Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] != "http" or not scope["path"].endswith("/infer") or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        parts = scope["path"].split("/")
        route = _ROUTES.get(len(parts))
        versioned = len(parts) == 7
        if route is None or parts[1] != "v2" or parts[2] != "models" or (versioned and parts[4] != "versions"):
            await self.app(scope, receive, send)
            return
        await self._answer(scope, receive, send, route, parts[3], parts[5] if versioned else "")

    async def _answer(self, scope: Scope, receive: Receive, send: Send, route: str, model: str, version: str) -> None:
        started_s = time.monotonic()
        headers = scope["headers"]
        identity = scope.setdefault("state", {})["request_id"] = request_id(headers)
        traffic = self.gateway.metrics.traffic
        traffic.requests_in_flight.inc()
        status, failure = 500, None
        try:
            start, body = await _infer(self.gateway, model, version, headers, receive)
            status = 200
        except (CellsenseError, HttpProblem) as error:
            failure = problem_response(error, {REQUEST_ID: identity})
            status = failure.status_code
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(request_id=identity)
            count_request(traffic, error)
        finally:
            duration_s = time.monotonic() - started_s
            self._duration(route, status).observe(duration_s)
            traffic.requests_in_flight.dec()
        if failure is not None or self.verbose:
            say = log.debug if failure is None else log.info
            say("request", method="POST", route=route, status=status, duration_s=round(duration_s, 6))
        if failure is not None:
            await failure(scope, receive, send)
            return
        start["headers"].append((b"x-request-id", identity.encode()))
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _duration(self, route: str, status: int) -> Histogram:
        found = self._durations.get((route, status))
        if found is None:
            found = self._durations[route, status] = self.gateway.metrics.traffic.request_duration.labels(
                route, "POST", status
            )
        return found


async def answer_infer(gateway: Gateway, model: str, version: str, headers: Headers, receive: Receive) -> Response:
    """The same for a route of the framework. Raises what makes a problem."""
    start, body = await _infer(gateway, model, version, headers, receive)
    response = Response(body)
    response.raw_headers = start["headers"]
    return response


async def _infer(
    gateway: Gateway, model: str, version: str, headers: Headers, receive: Receive
) -> tuple[Message, bytes]:
    """The head and the body of the answer."""
    found = dict(headers)
    gateway.repository.runner(model, version)  # before the body is read
    async with gateway.bodies.body(found.get(b"content-length", b"").decode("latin-1"), receive) as body:
        started_s = time.monotonic()
        length = found.get(b"inference-header-content-length")
        header_length = None if length is None else length.decode("latin-1")
        encoding = found.get(b"content-encoding", b"identity")
        loop = asyncio.get_running_loop()
        if encoding != b"identity":
            limit = gateway.bodies.max_body_bytes
            body = await loop.run_in_executor(gateway.parsers, _decompressed, body, encoding.decode("latin-1"), limit)
        runner = gateway.repository.runner(model, version)  # which may have been replaced meanwhile
        if header_size(header_length, len(body)) > SMALL_JSON_BYTES:
            request = await loop.run_in_executor(gateway.parsers, gateway.inference.read, body, header_length, runner)
        else:
            request = gateway.inference.read(body, header_length, runner)
        patience_s = gateway.settings.deadline_s
        if request.timeout_s is not None:
            patience_s = min(patience_s, request.timeout_s)
        work = runner.submit(request.inputs, started_s + patience_s)
        watched = runner.queued_rows > WATCHED_RUNS * runner.max_rows
        try:
            outputs = await (while_connected(receive, work) if watched else work)
        except EngineFailure as error:
            raise failed_run(runner.name, error) from error
    answer, json_bytes = write_response(request, outputs, runner.name, runner.version)
    content = b"".join(answer)
    head = [
        (b"content-type", (JSON if json_bytes is None else BINARY).encode()),
        (b"content-length", str(len(content)).encode()),
    ]
    if json_bytes is not None:
        head.append((HEADER_LENGTH.lower().encode(), str(json_bytes).encode()))
    return {"type": "http.response.start", "status": 200, "headers": head}, content


def failed_run(model: str, error: EngineFailure) -> HttpProblem:
    """What to answer where a model failed on a call that ran alone: most likely it is the numbers."""
    detail = f"inputs: expected numbers that {model} can run on, got: {error}"
    return HttpProblem(400, "Inference failed", detail)


def _decompressed(body: bytes | bytearray, encoding: str, limit: int) -> bytes:
    """A compressed body. Raises `HttpProblem`, `InvalidInput` and `PayloadTooLarge`."""
    if encoding not in _WINDOW_BITS:
        detail = f"Content-Encoding: expected none, {' or '.join(_WINDOW_BITS)}, got {encoding[:64]}"
        raise HttpProblem(415, "Unsupported media type", detail)
    reader = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        content = reader.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidInput("body", f"bytes compressed by {encoding}", str(error)) from error
    if len(content) > limit:
        raise PayloadTooLarge("body", f"at most {limit} bytes once decompressed", f"more than {limit}")
    if not reader.eof:
        raise InvalidInput("body", f"bytes compressed by {encoding} to their end", f"{len(body)} bytes that go on")
    return content
