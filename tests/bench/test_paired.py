"""The tables of `tests.bench.paired`: shares and differences are those of the same turn."""

from __future__ import annotations

import pytest

from tests.bench.paired import faultless, rate_table, time_table
from tests.bench.serving.load import Load


def test_shares_are_taken_turn_by_turn() -> None:
    text = rate_table({"a load": [(50.0, 100.0), (180.0, 200.0), (240.0, 300.0)]})
    assert text.endswith("| a load | 180 | 200 | 0.80, 0.50 to 0.90 |")


def test_added_times_are_taken_turn_by_turn() -> None:
    lines = time_table([(1.0, 0.8, 0.5), (2.0, 1.5, 1.0), (1.2, 0.9, 0.4)]).splitlines()
    assert lines[2:] == [
        "| ours | 1.20 | – |",
        "| ONNX Runtime alone, a session of one thread | 0.90 | 0.30, 0.20 to 0.50 |",
        "| ONNX Runtime alone, a session that spins on all cores | 0.50 | 0.80, 0.50 to 1.00 |",
    ]


def test_load_with_errors_is_no_figure() -> None:
    with pytest.raises(RuntimeError, match="errors=3"):
        faultless(Load(requests=10, seconds=1.0, errors=3, p50_ms=1.0, p90_ms=1.0, p99_ms=1.0))
