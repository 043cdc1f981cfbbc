"""A real HTTP server that speaks the gateway's routes and answers what it is told to: faults on demand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[dict[str, Any]], tuple[int, Any]]


class CannedGateway(ThreadingHTTPServer):
    """Keeps every request body in `requests` and answers `POST /v1/sense` with what `answer` makes of it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.requests: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def canned_gateway(answer: Answer) -> Iterator[CannedGateway]:
    with CannedGateway(answer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: CannedGateway
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(200, {"sites": [{"name": "munich", "boresight_deg": 90.0}]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        self._send(*self.server.answer(request))

    def _send(self, status: int, body: Any) -> None:
        payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Tests need no access log."""
