"""What a tracer is to the rest of the service. None stands for tracing that is off."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol


class RequestSpan(Protocol):
    """The span of one request."""

    @property
    def trace_id(self) -> str:
        """Of the trace that it belongs to, 32 hex digits."""

    def answered(self, route: str, status: int) -> None:
        """Name it after its route, and say how it ended."""


class Tracer(Protocol):
    """Makes spans. What happens within a span, in the same task or in tasks that it starts, becomes its child."""

    def request(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[RequestSpan]:
        """The span of a request, a child of the caller's span where the headers name one (W3C Trace Context)."""

    def stage(self, name: str) -> AbstractContextManager[object]:
        """The span of what runs inside."""

    def record(self, name: str, started_s: float, ended_s: float) -> None:
        """A span of something that is over; times are of `time.monotonic()`."""

    def close(self) -> None:
        """Export what is left. Blocks for some seconds at most."""
