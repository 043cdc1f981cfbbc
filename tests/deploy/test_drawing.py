"""How the drawn boards write values and join tables, which a person reads in the README."""

from __future__ import annotations

import math

import pytest

from deploy.grafana.pictures import _joined, _with_gaps, color_of, named
from deploy.grafana.reading import Target
from deploy.grafana.source import Series
from deploy.grafana.units import written


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (0.0, "s", "0 s"),
        (90.0, "s", "1.5 min"),
        (0.885, "percentunit", "88.5 %"),
        (3 << 20, "bytes", "3 MiB"),
        (0, "bytes", "0 B"),
        (41.5, "suffix: frames/s", "41.5 frames/s"),
        (7, "reqps", "7 req/s"),
        (2, "short", "2"),
        (math.nan, "s", "–"),
    ],
)
def test_value_is_written_with_its_unit(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text


def test_colour_is_that_of_the_highest_threshold_that_is_met() -> None:
    steps = {"steps": [{"value": None, "color": "green"}, {"value": 0.05, "color": "red"}]}
    assert color_of(0.049, steps) != color_of(0.05, steps)


def test_series_is_named_by_its_labels() -> None:
    target = Target("A", "x", "{{site}} p{{ q }}", instant=False)
    assert named(target, Series({"site": "munich", "q": "95"}, ())) == "munich p95"


def test_table_joins_its_columns_and_leaves_empty_what_is_missing() -> None:
    def column(ref: str, *rows: tuple[dict[str, str], float]) -> tuple[Target, list[Series]]:
        return Target(ref, "x", "", instant=True), [Series(labels, ((0.0, value),)) for labels, value in rows]

    up = column("A", ({"instance": "a"}, 1.0), ({"instance": "b"}, 0.0))
    build = column("B", ({"instance": "a", "version": "1"}, 1.0))
    assert _joined([up, build], ["Value #A", "Value #B"]) == [
        {"instance": "a", "version": "1", "Value #A": 1.0, "Value #B": 1.0},
        {"instance": "b", "Value #A": 0.0},
    ]


def test_there_is_no_line_across_missing_samples() -> None:
    times, values = _with_gaps([(0.0, 1.0), (1.0, 1.0), (5.0, 2.0)])
    assert times == [0.0, 1.0, 2.0, 5.0]
    assert math.isnan(values[2])
