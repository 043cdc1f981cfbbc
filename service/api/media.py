"""The forms that bodies come and go in: JSON for humans, MessagePack for controllers, by media type.

Both hold the same documents. In MessagePack the bytes of tensors and pictures are raw instead of base64, so that they
are neither decoded nor scanned: a request of 16 UEs is taken apart in 15 µs instead of 1,271
(`python -m tests.bench.sense_formats`; multipart/form-data takes 322, Arrow IPC 103).

Source: MessagePack specification, https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson
from starlette.datastructures import Headers
from starlette.responses import Response

from service.api.problems import HttpProblem
from service.errors import MalformedBody

JSON_TYPE = "application/json"
MESSAGEPACK_TYPE = "application/vnd.msgpack"  # as registered with IANA; the others are older and still about
_MESSAGEPACK_TYPES = (MESSAGEPACK_TYPE, "application/msgpack", "application/x-msgpack")


@dataclass(frozen=True)
class Form:
    """A form of documents.

    Attributes:
        media_type: that it is answered with.
        load: the value of a body; raises `MalformedBody`.
        dump: the body of a value.
        at_once_bytes: of a body that is read at once, in about a millisecond at most; a longer one goes to a thread,
            which takes a tenth of one to get to.
    """

    media_type: str
    load: Callable[[bytes | bytearray | memoryview], object]
    dump: Callable[[Any], bytes]
    at_once_bytes: int

    def response(self, value: Any) -> Response:
        """An answer in this form."""
        return Response(self.dump(value), media_type=self.media_type)


def load_json(body: bytes | bytearray | memoryview) -> object:
    """The JSON value of a body. Raises `MalformedBody`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody("body", "JSON in UTF-8 (it has no NaN and no Infinity)", str(error)) from error


def load_messagepack(body: bytes | bytearray | memoryview) -> object:
    """The MessagePack value of a body. Raises `MalformedBody`."""
    try:
        return msgspec.msgpack.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError, MemoryError) as error:  # claimed depths and sizes, too
        raise MalformedBody("body", "MessagePack", str(error) or type(error).__name__) from error


JSON = Form(JSON_TYPE, load_json, orjson.dumps, 1 << 16)
MESSAGEPACK = Form(MESSAGEPACK_TYPE, load_messagepack, msgspec.msgpack.encode, 1 << 20)


def request_form(headers: Headers, *forms: Form) -> Form:
    """The form of a request's body, out of those that are read, MessagePack by any of its names.

    Raises:
        HttpProblem: it has another, or is compressed (415).
    """
    media_type = headers.get("content-type", "none").partition(";")[0].strip().lower()
    form = MESSAGEPACK if media_type in _MESSAGEPACK_TYPES else JSON if media_type == JSON_TYPE else None
    if form not in forms:
        expected = " or ".join(each.media_type for each in forms)
        detail = f"Content-Type: expected {expected}, got {media_type[:64]}"
        raise HttpProblem(415, "Unsupported media type", detail)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        detail = f"Content-Encoding: expected none, got {encoding[:64]}: send the body as it is"
        raise HttpProblem(415, "Unsupported media type", detail)
    assert form is not None, "it is one of forms"
    return form


def answer_form(headers: Headers, request: Form) -> Form:
    """The form to answer in: what `Accept` names first, else that of the request."""
    for accepted in headers.get("accept", "").split(","):
        media_type = accepted.partition(";")[0].strip().lower()
        if media_type == JSON_TYPE:
            return JSON
        if media_type in _MESSAGEPACK_TYPES:
            return MESSAGEPACK
    return request
