"""Reading a request's body: its size while it arrives, and the memory that all bodies hold together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.requests import Request
from starlette.types import Receive

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

    def body_of(self, request: Request) -> AbstractAsyncContextManager[bytes | bytearray]:
        """The body of a request. See `body`."""
        return self.body(request.headers.get("content-length", ""), request.receive)

    @asynccontextmanager
    async def body(self, content_length: str, receive: Receive) -> AsyncIterator[bytes | bytearray]:
        """The body, which counts as held until the context ends.

        Args:
            content_length: as the request declares it, if it does.
            receive: where the body comes from.

        Raises:
            HttpProblem: too slow (408), or the client went away (499).
            PayloadTooLarge: over the limit, whether or not the request declared its length.
            Overloaded: there is no room for it beside the others.
        """
        if content_length.isascii() and content_length.isdigit():
            self._require_size(int(content_length), "declared")
        held: bytes | bytearray = b""
        try:
            async with asyncio.timeout(self.timeout_s):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        gone = "the client closed the connection while it sent"
                        raise HttpProblem(499, "Client went away", gone)
                    chunk, more = message.get("body", b""), message.get("more_body", False)
                    self._require_size(len(held) + len(chunk), "or more")
                    self._require_room(len(chunk))
                    if held:
                        held = held if isinstance(held, bytearray) else bytearray(held)
                        held += chunk
                    else:
                        held = chunk  # the only one, most often: not copied
                    self.inflight_bytes += len(chunk)
            yield held
        except TimeoutError as error:
            raise body_too_slow(self.timeout_s, len(held)) from error
        finally:
            self.inflight_bytes -= len(held)

    def _require_size(self, size: int, how: str) -> None:
        if size > self.max_body_bytes:
            raise PayloadTooLarge("body", f"at most {self.max_body_bytes} bytes: send fewer frames", f"{size} {how}")

    def _require_room(self, size: int) -> None:
        if self.inflight_bytes + size > self.max_inflight_bytes:
            raise Overloaded(RETRY_AFTER_S, "too many bytes of requests are in flight", "memory")


def body_too_slow(timeout_s: float, got_bytes: int) -> HttpProblem:
    """What to answer where a body did not arrive in time."""
    detail = f"body: expected it within {timeout_s:g} s, got {got_bytes} bytes: send fewer frames"
    return HttpProblem(408, "Body too slow", detail)
