"""One request over HTTP, to see whether a server answers and answers right. Not for load."""

from __future__ import annotations

import http.client

from tests.bench.serving.wire import Answer, Request

_TIMEOUT_S = 30


def post(port: int, request: Request) -> Answer:
    """Ask once. Raises `OSError`, or `ValueError` with what the server said where that is no 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise ValueError(f"{request.path}: expected 200, got {response.status}: {body[:300]!r}")
    return Answer(body, {name.lower(): value for name, value in response.getheaders()})


def is_ready(port: int, path: str) -> bool:
    """Whether a GET of the path is answered with 200."""
    return get(port, path) is not None


def get(port: int, path: str) -> bytes | None:
    """What a GET of the path is answered with; None where that is no 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read() if response.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
