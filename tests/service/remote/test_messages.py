from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from service import errors
from service.errors import CellsenseError, EngineFailure, InvalidInput, Overloaded
from service.remote.messages import Failed, FromEngine, error_of, failed


def every_kind(kind: type[CellsenseError] = CellsenseError) -> Iterator[type[CellsenseError]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from every_kind(subclass)


def an_error(kind: type[CellsenseError]) -> CellsenseError:
    if issubclass(kind, InvalidInput):
        return kind("inputs.x", "3 columns", "4")
    if issubclass(kind, Overloaded):
        return kind(2.5, "the queue is full", "queue")
    return kind("something of it")


def through(error: Exception) -> CellsenseError:
    sent = msgspec.msgpack.encode(failed(7, error, held=True))
    message = msgspec.msgpack.Decoder(FromEngine).decode(sent)
    assert isinstance(message, Failed)
    assert (message.id, message.held) == (7, True)
    return error_of(message)


@pytest.mark.parametrize("kind", list(every_kind()), ids=lambda kind: kind.__name__)
def test_every_error_of_the_domain_comes_out_as_it_went_in(kind: type[CellsenseError]) -> None:
    error = an_error(kind)
    found = through(error)
    assert type(found) is kind
    assert (str(found), vars(found)) == (str(error), vars(error))


def test_all_errors_are_looked_at() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CellsenseError)}
    assert set(every_kind()) >= kinds


def test_an_error_that_nobody_foresaw_is_a_failure_of_the_engine() -> None:
    found = through(RuntimeError("out of memory"))
    assert type(found) is EngineFailure
    assert str(found) == "RuntimeError: out of memory"
