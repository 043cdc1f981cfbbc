"""Every error has a status of its own choosing, and none tells more than it should."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from service import errors
from service.api.problems import HttpProblem, problem, problem_response, status_of
from service.api.schemas import Problem
from service.errors import CellsenseError, InvalidInput, Overloaded

STATUS = {
    "InvalidInput": 422,
    "MalformedBody": 400,
    "PayloadTooLarge": 413,
    "UnknownSite": 404,
    "UnknownScene": 404,
    "UnknownTask": 422,
    "UnknownFrame": 404,
    "UnknownUe": 404,
    "UnknownModel": 404,
    "TimestampConflict": 409,
    "Overloaded": 503,
    "NotReady": 503,
    "ModelNotReady": 400,
    "ArtifactError": 400,
    "ShuttingDown": 503,
    "BufferUnavailable": 503,
    "DeadlineExceeded": 504,
    "EngineFailure": 500,
}
NEVER_RAISED_BY_A_REQUEST = {"CellsenseError", "Unavailable"}


def kinds(base: type[CellsenseError] = CellsenseError) -> Iterator[type[CellsenseError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def make(kind: type[CellsenseError]) -> CellsenseError:
    if issubclass(kind, InvalidInput):
        return kind("frames[0].csi", "one thing", "another")
    return Overloaded(2.5) if kind is Overloaded else kind("something went wrong")


def test_every_error_has_a_status() -> None:
    defined = {kind.__name__: kind for kind in kinds() if kind.__module__ == errors.__name__}
    assert set(defined) - NEVER_RAISED_BY_A_REQUEST == set(STATUS)
    assert {name: status_of(make(defined[name])) for name in STATUS} == STATUS


@pytest.mark.parametrize("name", STATUS)
def test_problem_is_that_of_rfc_9457(name: str) -> None:
    error = make(getattr(errors, name))
    response = problem_response(error)
    assert response.media_type == "application/problem+json"
    parsed = Problem.model_validate_json(bytes(response.body))
    assert parsed.status == response.status_code == STATUS[name]
    assert parsed.type.startswith("urn:cellsense:problem:")
    assert parsed.detail == parsed.error == str(error)
    assert ("retry-after" in response.headers) == (STATUS[name] == 503)


def test_retry_after_is_whole_seconds_rounded_up() -> None:
    assert problem_response(Overloaded(2.2)).headers["retry-after"] == "3"
    assert problem_response(Overloaded(0.01)).headers["retry-after"] == "1"


def test_error_that_nobody_foresaw_tells_nothing_of_its_inside() -> None:
    members = problem(RuntimeError("password=hunter2"))
    assert members["status"] == 500
    assert b"hunter2" not in orjson.dumps(members)


def test_subclass_of_an_error_has_the_status_of_its_parent() -> None:
    class Rarer(errors.TimestampConflict):
        pass

    assert status_of(Rarer("timestamp_s", "a", "b")) == 409


def test_problem_of_http_alone_has_the_status_it_brings() -> None:
    assert problem(HttpProblem(415, "Unsupported media type", "expected JSON"))["status"] == 415
