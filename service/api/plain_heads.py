"""Heads of the plain kind: a POST whose body has a known length and no coding, on a connection that is kept.

A client sends the same head again and again, so what was found in it is remembered: a head that is known costs a look
into a dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import httptools

from service.api.observe import REQUEST_ID

HEAD_END = b"\r\n\r\n"
LONGEST_HEAD = 4096  # bytes of a head that is looked at
REMEMBERED = 1024
HEADER_LENGTH = b"inference-header-content-length"
_REQUEST_ID = REQUEST_ID.lower().encode()
_DIGITS = re.compile(rb"[0-9]{1,18}")
_ONCE = frozenset((b"content-length", b"content-type", b"accept", HEADER_LENGTH, _REQUEST_ID))
# Whatever changes how a body is framed, coded or followed is left to the server that knows all of HTTP.
_NOT_PLAIN = frozenset((b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"))
_PLAIN_VALUES = {b"content-encoding": b"identity", b"connection": b"keep-alive"}

Head = TypeVar("Head")


@dataclass(frozen=True)
class PlainHead:
    """What a head says.

    Attributes:
        url: its path and what follows, as it was sent.
        headers: by their names in lower case.
        body_bytes: length of its body.
        request_id: as the caller gave it, None where it did not.
    """

    url: bytes
    headers: Mapping[bytes, bytes]
    body_bytes: int
    request_id: bytes | None


class KnownHeads(Generic[Head]):
    """Reads heads, and remembers what it read."""

    def __init__(self, find: Callable[[PlainHead], Head | None]) -> None:
        """Take of each plain head what `find` finds in it."""
        self._find = find
        self._known: dict[bytes, Head | None] = {}

    def read(self, head: bytes) -> Head | None:
        """What was found in a whole head, its blank line included; None where it is not plain."""
        try:
            return self._known[head]
        except KeyError:
            if len(self._known) >= REMEMBERED:  # most likely heads that differ every time: not worth an order
                self._known.clear()
            plain = parse(head)
            found = self._known[head] = None if plain is None else self._find(plain)
            return found


def parse(head: bytes) -> PlainHead | None:
    """What a whole head says; None where it is not plain."""
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    headers = dict(seen.headers)
    if parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
        return None
    if _NOT_PLAIN & headers.keys() or any(
        headers.get(name, value).lower() != value for name, value in _PLAIN_VALUES.items()
    ):
        return None
    if len([name for name, _ in seen.headers if name in _ONCE]) != len(_ONCE & headers.keys()):
        return None  # said twice
    length = headers.get(b"content-length", b"")
    if not _DIGITS.fullmatch(length):
        return None
    return PlainHead(seen.url, headers, int(length), headers.get(_REQUEST_ID))


class _Seen:
    """What the parser calls."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))
