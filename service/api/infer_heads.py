"""Heads of requests: which of them are infer calls of the plain kind, and what those say.

A client sends the same head again and again, so what was found in it is remembered: the head of a known call costs a
look into a dictionary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

from service.api.observe import REQUEST_ID

HEAD_END = b"\r\n\r\n"
LONGEST_HEAD = 4096  # bytes of a head that is looked at
REMEMBERED = 1024
_PATH = re.compile(rb"/v2/models/([A-Za-z0-9._~-]+)(?:/versions/([A-Za-z0-9._~-]+))?/infer")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_ROUTES = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")
_REQUEST_ID = REQUEST_ID.lower().encode()
_OURS = frozenset((b"content-length", b"inference-header-content-length", _REQUEST_ID))
# Whatever changes how a body is framed, coded or followed is left to the server that knows all of HTTP.
_NOT_PLAIN = frozenset((b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"))
_PLAIN_VALUES = {b"content-encoding": b"identity", b"connection": b"keep-alive"}


@dataclass(frozen=True)
class InferHead:
    """An infer call whose body has a known length and no coding, on a connection that is kept.

    Attributes:
        model, version: from its path; "" for no version.
        route: template of the path, for metrics.
        body_bytes: length of its body.
        header_length: of the JSON document in the body, where the head says it.
        document_bytes: the same as a number, the whole body where the head does not say it; None for no number.
        request_id: as the caller gave it, None where it did not.
    """

    model: str
    version: str
    route: str
    body_bytes: int
    header_length: str | None
    document_bytes: int | None
    request_id: bytes | None


class InferHeads:
    """Reads heads, and remembers those that it read."""

    def __init__(self) -> None:
        self._known: dict[bytes, InferHead | None] = {}

    def read(self, head: bytes) -> InferHead | None:
        """What a whole head says, its blank line included; None where it is no infer call of the plain kind."""
        try:
            return self._known[head]
        except KeyError:
            if len(self._known) >= REMEMBERED:  # most likely heads that differ every time: not worth an order
                self._known.clear()
            found = self._known[head] = parse(head)
            return found


def parse(head: bytes) -> InferHead | None:
    """See `InferHeads.read`."""
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    path = _PATH.fullmatch(seen.url)
    headers = dict(seen.headers)
    if path is None or parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
        return None
    if _NOT_PLAIN & headers.keys() or any(
        headers.get(name, value).lower() != value for name, value in _PLAIN_VALUES.items()
    ):
        return None
    if len([name for name, _ in seen.headers if name in _OURS]) != len(_OURS & headers.keys()):
        return None  # said twice
    length = headers.get(b"content-length", b"")
    if not _DIGITS.fullmatch(length):
        return None
    document = headers.get(b"inference-header-content-length")
    version = path[2] or b""
    digits = length if document is None else document
    return InferHead(
        model=path[1].decode(),
        version=version.decode(),
        route=_ROUTES[bool(version)],
        body_bytes=int(length),
        header_length=None if document is None else document.decode("latin-1"),
        document_bytes=int(digits) if _DIGITS.fullmatch(digits) else None,
        request_id=headers.get(_REQUEST_ID),
    )


class _Seen:
    """What the parser calls."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))
