from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from service import cli
from service.api.health import readiness


@contextmanager
def gateway(status: int, body: Any, host: str = "127.0.0.1") -> Iterator[int]:
    """A server that answers every GET so; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            payload = body if isinstance(body, bytes) else json.dumps(body).encode()
            assert self.path == "/readyz"
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            """Tests need no access log."""

    with HTTPServer((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_ready_gateway_is_healthy(host: str) -> None:
    with gateway(200, {"status": "ready", "buffer": "reachable"}) as port:
        assert readiness(host, port) == (True, f"{host}:{port}: ready, buffer reachable")


def test_gateway_without_its_redis_is_ready_all_the_same() -> None:
    with gateway(200, {"status": "ready", "buffer": "unreachable"}) as port:
        assert readiness("127.0.0.1", port) == (True, f"127.0.0.1:{port}: ready, buffer unreachable")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, {"detail": "the models are still warming up"}, "not ready: the models are still warming up"),
        (502, b"<html>", "expected a gateway that answers /readyz"),
        (200, b"<html>", "expected a gateway that answers /readyz"),
    ],
)
def test_anything_else_is_not_healthy_and_says_why(status: int, body: Any, said: str) -> None:
    with gateway(status, body) as port:
        ready, sentence = readiness("127.0.0.1", port)
    assert not ready
    assert said in sentence


def test_gateway_that_accepts_but_never_answers_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.health.TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ready, sentence = readiness("127.0.0.1", listening.getsockname()[1])
    assert not ready
    assert "TimeoutError" in sentence


def test_command_asks_where_the_settings_say_and_exits_accordingly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with gateway(200, {"status": "ready", "buffer": "reachable"}) as port:
        monkeypatch.setenv("CELLSENSE_HOST", "0.0.0.0")
        monkeypatch.setenv("CELLSENSE_PORT", str(port))
        assert cli.main(["health"]) == 0
    assert capsys.readouterr().out == f"0.0.0.0:{port}: ready, buffer reachable\n"
    assert cli.main(["health"]) == 1  # it has gone away
