from __future__ import annotations

import numpy as np
import pytest

from models.data.showing.markdown import five, percent, size, table


def test_whole_numbers_of_a_table_are_separated() -> None:
    assert table(("a", "b"), [(1234567, "x"), (1, 0.5)]) == "| a | b |\n| --- | --- |\n| 1,234,567 | x |\n| 1 | 0.5 |"


@pytest.mark.parametrize(("count", "said"), [(12, "12 B"), (1200, "1.2 kB"), (3.45e6, "3.45 MB"), (2e9, "2 GB")])
def test_sizes_are_readable(count: float, said: str) -> None:
    assert size(count) == said


def test_nothing_to_count_is_a_dash_and_no_nan() -> None:
    assert percent(np.zeros(0, bool)) == "–"
    assert five(np.zeros(0)) == ["–"] * 5


def test_five_are_least_to_most() -> None:
    assert five(np.arange(101.0), 0) == ["0", "5", "50", "95", "100"]
