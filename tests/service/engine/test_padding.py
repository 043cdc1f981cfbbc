from __future__ import annotations

import pytest

from service.engine.padding import bucket


@pytest.mark.parametrize(
    ("rows", "buckets", "expected"),
    [(1, (1, 4), 1), (2, (1, 4), 4), (4, (1, 4), 4), (5, (1, 4), 8), (12, (1, 4), 12), (7, (), 7)],
)
def test_rows_go_to_the_next_bucket(rows: int, buckets: tuple[int, ...], expected: int) -> None:
    assert bucket(rows, buckets) == expected
