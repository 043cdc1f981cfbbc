"""Errors as RFC 9457 problems: the only place that maps an error to a status code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from service.errors import (
    ArtifactError,
    BufferUnavailable,
    CellsenseError,
    DeadlineExceeded,
    EngineFailure,
    InvalidInput,
    MalformedBody,
    ModelNotReady,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    ShuttingDown,
    TimestampConflict,
    Unavailable,
    UnknownFrame,
    UnknownModel,
    UnknownScene,
    UnknownSite,
    UnknownTask,
    UnknownUe,
)

CONTENT_TYPE = "application/problem+json"
RETRY_SOON_S = 1.0

_STATUS: dict[type[BaseException], tuple[int, str]] = {
    MalformedBody: (400, "Malformed body"),
    UnknownSite: (404, "Unknown site"),
    UnknownScene: (404, "Unknown scene"),
    UnknownFrame: (404, "Unknown frame"),
    UnknownUe: (404, "Unknown UE"),
    UnknownModel: (404, "Unknown model"),
    TimestampConflict: (409, "Timestamp conflict"),
    PayloadTooLarge: (413, "Payload too large"),
    UnknownTask: (422, "Unknown task"),
    InvalidInput: (422, "Invalid input"),
    EngineFailure: (500, "Inference failed"),
    Overloaded: (503, "Overloaded"),
    ModelNotReady: (400, "Model not ready"),  # by the Open Inference Protocol
    ArtifactError: (400, "Model does not fit"),
    NotReady: (503, "Not ready"),
    ShuttingDown: (503, "Shutting down"),
    BufferUnavailable: (503, "Trajectory buffer unavailable"),
    DeadlineExceeded: (504, "Deadline exceeded"),
}
_UNFORESEEN = (500, "Internal error")


class HttpProblem(Exception):
    """A problem that exists only in HTTP: an unsupported media type, a body that does not arrive."""

    def __init__(self, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.headers = headers or {}


def problem(error: Exception, frame: int | None = None) -> dict[str, Any]:
    """The error as members of a problem; an error that nobody foresaw tells nothing of its inside.

    Args:
        error: what was raised.
        frame: position of the frame that failed, where it is one.
    """
    status, title = _kind(error)
    foreseen = isinstance(error, CellsenseError | HttpProblem)
    detail = str(error) if foreseen else "the service failed to answer: this is a defect, please report it"
    members: dict[str, Any] = {
        "type": f"urn:cellsense:problem:{title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "error": detail,
    }
    if isinstance(error, InvalidInput):
        members |= {"field": error.field, "expected": error.expected, "got": error.got}
    if frame is not None:
        members["frame"] = frame
    return members


def status_of(error: Exception) -> int:
    """The HTTP status code of an error."""
    return _kind(error)[0]


def reason_of(error: Exception) -> str:
    """The kind of an error as the value of a label."""
    return _kind(error)[1].lower().replace(" ", "_")


def problem_response(error: Exception, headers: Mapping[str, str] | None = None) -> Response:
    """The problem of a request as a whole, with headers beyond those that it brings."""
    return _response(problem(error), {**_headers(error), **(headers or {})})


def all_failed_response(errors: Sequence[CellsenseError]) -> Response:
    """The answer where every frame or label failed: the problem of the first, with those of all of them."""
    problems = [problem(error, index) for index, error in enumerate(errors)]
    return _response({**problems[0], "errors": problems}, _headers(errors[0]))


def _kind(error: Exception) -> tuple[int, str]:
    """Status code and title: those of the nearest class that has its own."""
    if isinstance(error, HttpProblem):
        return error.status, error.title
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), _UNFORESEEN)


def _headers(error: Exception) -> Mapping[str, str]:
    if isinstance(error, HttpProblem):
        return error.headers
    if isinstance(error, Unavailable):
        retry_after_s = error.retry_after_s if isinstance(error, Overloaded) else RETRY_SOON_S
        return {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
    return {}


def _response(members: dict[str, Any], headers: Mapping[str, str]) -> Response:
    return Response(orjson.dumps(members), members["status"], headers, CONTENT_TYPE)
