"""The load side of every wire that is HTTP/1.1: `http.client` to check, wrk to load."""

from __future__ import annotations

from pathlib import Path

from tests.bench.serving import http_client, wrk
from tests.bench.serving.load import Load
from tests.bench.serving.wire import Answer, Request


class HttpLoad:
    """What `tests.bench.serving.wire.Wire` asks for but the messages."""

    def require(self) -> None:
        """Raises `RuntimeError` where wrk is not installed."""
        wrk.require()

    def post(self, port: int, request: Request) -> Answer:
        """Ask once."""
        return http_client.post(port, request)

    def load(self, port: int, request: Request, answer: Answer, clients: int, seconds: float, scratch: Path) -> Load:
        """Ask as fast as so many clients can; wrk sees the statuses, so a right answer need not be known."""
        return wrk.run(port, request, clients, seconds, scratch)
