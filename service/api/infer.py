"""The infer call of the Open Inference Protocol v2, for a route of the framework.

Calls of the plain kind do not come here but are answered straight from their connection: `service.api.infer_calls`.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Iterable

from starlette.responses import Response
from starlette.types import Receive

from service.api.connection import while_connected
from service.api.gateway import Gateway
from service.api.problems import HttpProblem
from service.errors import EngineFailure, InvalidInput, PayloadTooLarge
from service.oip.codec import HEADER_LENGTH, header_size, write_response

BINARY, JSON = "application/octet-stream", "application/json"
SMALL_JSON_BYTES = 16_384  # more of it is parsed in a thread
_WINDOW_BITS = {"gzip": 31, "deflate": 15}

Headers = Iterable[tuple[bytes, bytes]]


async def answer_infer(gateway: Gateway, model: str, version: str, headers: Headers, receive: Receive) -> Response:
    """Answer a call.

    Args:
        gateway: whose models are called.
        model, version: from its path; "" for no version.
        headers: of the request, names in lower case.
        receive: where its body comes from.

    Raises:
        CellsenseError, HttpProblem: it cannot be answered.
    """
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
        try:
            outputs = await while_connected(receive, runner.submit(request.inputs, started_s + patience_s))
        except EngineFailure as error:
            raise failed_run(runner.name, error) from error
    parts, json_bytes = write_response(request, outputs, runner.name, runner.version)
    length_of_document = {} if json_bytes is None else {HEADER_LENGTH: str(json_bytes)}
    return Response(b"".join(parts), headers=length_of_document, media_type=JSON if json_bytes is None else BINARY)


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
