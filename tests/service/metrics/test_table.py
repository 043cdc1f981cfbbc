from __future__ import annotations

from pathlib import Path

import pytest

from service.metrics import Metrics, table


def test_file_has_not_drifted_from_the_code() -> None:
    assert table.main(["--check"]) == 0


def test_drift_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "METRICS.md"
    assert table.main(["--check", "--file", str(file)]) == 1
    assert table.main(["--file", str(file)]) == 0
    assert table.main(["--check", "--file", str(file)]) == 0
    file.write_text(file.read_text().replace("| counter |", "| gauge |", 1))
    assert table.main(["--check", "--file", str(file)]) == 1
    assert "has drifted" in capsys.readouterr().err


def test_every_family_has_a_row_with_a_cell_for_each_column() -> None:
    rows = [line for line in table.render().splitlines() if line.startswith("| `cellsense_")]
    assert [row.split("`")[1] for row in rows] == [family.name for family in Metrics().families]
    assert {row.count("|") for row in rows} == {6}
