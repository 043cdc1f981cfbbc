from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.engine.cores import usable_cores


@pytest.mark.parametrize(("content", "expected"), [("100000 100000\n", 1), ("50000 100000\n", 1), ("150000 100000", 1)])
def test_a_container_quota_counts_in_whole_cores(tmp_path: Path, content: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert usable_cores(tmp_path / "cpu.max") == expected


def test_without_a_quota_the_affinity_mask_counts(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path / "cpu.max") == usable_cores(tmp_path / "absent") == len(os.sched_getaffinity(0))
