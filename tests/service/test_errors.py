from __future__ import annotations

import inspect

from service import errors
from service.errors import CellsenseError, InvalidInput, Overloaded, TimestampConflict, Unavailable


def test_the_tree_at_the_top_of_the_file_names_every_error_under_its_base() -> None:
    drawn: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        before, branch, rest = line.partition("── ")
        if branch or line.startswith("CellsenseError"):
            drawn.append(((len(before) + 3) // 4 if branch else 0, (rest or line).split()[0]))
    parents: dict[str, str] = {}
    path: list[str] = []
    for depth, name in drawn:
        path[depth:] = [name]
        parents[name] = path[depth - 1] if depth else "Exception"
    actual = {name: kind.__bases__[0].__name__ for name, kind in inspect.getmembers(errors, inspect.isclass)}
    assert parents == actual


def test_invalid_input_says_what_was_expected_and_what_came() -> None:
    error = InvalidInput("csi", "shape [32, 64]", "shape [64]")
    assert str(error) == "csi: expected shape [32, 64], got shape [64]"


def test_an_error_seen_from_outside_keeps_its_kind_and_names_the_whole_path() -> None:
    error = TimestampConflict("timestamp_s", "a later one", "1.0").within("frames[3]")
    assert type(error) is TimestampConflict
    assert str(error) == "frames[3].timestamp_s: expected a later one, got 1.0"


def test_overload_says_when_to_retry() -> None:
    error = Overloaded(0.25)
    assert isinstance(error, Unavailable)
    assert isinstance(error, CellsenseError)
    assert str(error) == "the queue is full: retry after 0.25 s"
    assert error.retry_after_s == 0.25
