"""Heads of infer calls."""

from __future__ import annotations

import re
from dataclasses import dataclass

from service.api.plain_heads import HEADER_LENGTH, PlainHead

_PATH = re.compile(rb"/v2/models/([A-Za-z0-9._~-]+)(?:/versions/([A-Za-z0-9._~-]+))?/infer")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_ROUTES = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")


@dataclass(frozen=True)
class InferHead:
    """An infer call.

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

    @property
    def tensors_at(self) -> int:
        """Bytes of the body before its first tensor; 0 where that cannot be told before it is read."""
        return 0 if self.header_length is None else self.document_bytes or 0


def infer_head(plain: PlainHead) -> InferHead | None:
    """What a plain head says; None where it is no infer call."""
    path = _PATH.fullmatch(plain.url)
    if path is None:
        return None
    document = plain.headers.get(HEADER_LENGTH)
    version = path[2] or b""
    digits = str(plain.body_bytes).encode() if document is None else document
    return InferHead(
        model=path[1].decode(),
        version=version.decode(),
        route=_ROUTES[bool(version)],
        body_bytes=plain.body_bytes,
        header_length=None if document is None else document.decode("latin-1"),
        document_bytes=int(digits) if _DIGITS.fullmatch(digits) else None,
        request_id=plain.request_id,
    )
