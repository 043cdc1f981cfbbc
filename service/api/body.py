"""Reading a request's body: its media type, its size while it arrives, and the memory that all bodies hold together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from service.api.problems import HttpProblem
from service.errors import Overloaded, PayloadTooLarge

RETRY_AFTER_S = 1.0


class BodyReader:
    """Reads bodies under three bounds: bytes of one body, bytes of all bodies held at a time, seconds to arrive."""

    def __init__(self, max_body_bytes: int, max_inflight_bytes: int, timeout_s: float) -> None:
        self.max_body_bytes = max_body_bytes
        self.max_inflight_bytes = max_inflight_bytes
        self.timeout_s = timeout_s
        self.inflight_bytes = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytearray]:
        """The body, which counts as held until the context ends.

        Raises:
            HttpProblem: not JSON by its headers (415), too slow (408), or the client went away (499).
            PayloadTooLarge: over the limit, whether or not the request declared its length.
            Overloaded: there is no room for it beside the others.
        """
        _require_json(request)
        self._require_size(_declared_bytes(request), "declared")
        held = bytearray()
        try:
            async with asyncio.timeout(self.timeout_s):
                async for chunk in request.stream():
                    self._require_size(len(held) + len(chunk), "or more")
                    self._require_room(len(chunk))
                    held += chunk
                    self.inflight_bytes += len(chunk)
            yield held
        except TimeoutError as error:
            detail = f"body: expected it within {self.timeout_s:g} s, got {len(held)} bytes: send fewer frames"
            raise HttpProblem(408, "Body too slow", detail) from error
        except ClientDisconnect as error:
            raise HttpProblem(499, "Client went away", "the client closed the connection while it sent") from error
        finally:
            self.inflight_bytes -= len(held)

    def _require_size(self, size: int, how: str) -> None:
        if size > self.max_body_bytes:
            raise PayloadTooLarge("body", f"at most {self.max_body_bytes} bytes: send fewer frames", f"{size} {how}")

    def _require_room(self, size: int) -> None:
        if self.inflight_bytes + size > self.max_inflight_bytes:
            raise Overloaded(RETRY_AFTER_S, "too many bytes of requests are in flight", "memory")


def _require_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "none").partition(";")[0].strip().lower()
    if media_type != "application/json":
        detail = f"Content-Type: expected application/json, got {media_type[:64]}"
        raise HttpProblem(415, "Unsupported media type", detail)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        detail = f"Content-Encoding: expected none, got {encoding[:64]}: send the JSON as it is"
        raise HttpProblem(415, "Unsupported media type", detail)


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else 0
