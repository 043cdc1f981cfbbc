"""What the memory command makes of what it saw."""

from __future__ import annotations

import pytest

from tests.bench.memory import ratios, table
from tests.bench.serving.process_tree import Memory

ONE = {"7 -m service.cli serve": Memory(400.0, 350.0, 300.0), "8 redis-server unixsocket:/x": Memory(10.0, 5.0, 4.0)}
SEVERAL = {
    "17 -m service.cli serve --workers 2": Memory(90.0, 40.0, 30.0),
    "18 engine": Memory(300.0, 250.0, 220.0),
    "19 worker": Memory(225.0, 101.0, 88.6),
}


def test_ratios_are_of_the_sums() -> None:
    found = ratios(ONE, SEVERAL)
    assert (found.rss_mib, found.pss_mib, found.own_mib) == pytest.approx((615 / 410, 391 / 355, 338.6 / 304))


def test_table_has_every_process_and_the_sums() -> None:
    rows = table(ONE, SEVERAL, "--workers 2").splitlines()
    assert rows[2] == "| 7 -m service.cli serve | 400 | 350 | 300 |"
    assert rows[4] == "| **one process, all** | 410 | 355 | 304 |"
    assert rows[-2] == "| **--workers 2, all** | 615 | 391 | 339 |"
    assert rows[-1] == "| of one process (goal: < 1.2) | 1.50 | 1.10 | 1.11 |"
    assert len({row.count("|") for row in rows}) == 1
