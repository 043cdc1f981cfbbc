from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.card import write_card
from models.compare import Table, markdown
from tests.service.engine.artifacts import write_artifact

METRICS: dict[str, object] = {
    "trajectories": {"position_median_m": 1.23456, "position_p95_m": 9.5, "region_90_coverage": 0.901},
    "radhar windows": {"activity_accuracy": 0.9712},
    "parity": {"embedding": 1e-6, "gate": 3.2e-5},
}
TABLE: Table = {"kNN": {"0": {"single frames": {"position_median_m": 4.5}}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny artifact with figures and a table."""
    replace(write_artifact(tmp_path), metrics=METRICS).save(tmp_path)
    (tmp_path / "table.json").write_text(json.dumps(TABLE))
    return tmp_path


def _card(folder: Path) -> str:
    write_card(folder)
    return (folder / "card.md").read_text()


def test_figures_are_those_of_the_manifest(folder: Path) -> None:
    lines = _card(folder).splitlines()
    assert "| median position error, m | ≤ 3 | 1.235 |" in lines
    assert "| 95th percentile, m | ≤ 12 | 9.500 |" in lines
    assert "| RadHAR accuracy, split by file, one window | ≥ 0.95 | 0.971 |" in lines
    assert "| LoS balanced accuracy, moving blockers | ≥ 0.95 | not measured |" in lines
    assert any("largest gap to torch 3.2e-05" in line for line in lines)


def test_card_has_the_table_and_says_where_the_data_come_from(folder: Path) -> None:
    card = _card(folder)
    assert markdown(TABLE) in card
    assert "- none: Apache-2.0. made up for tests" in card


def test_card_is_the_same_whenever_it_is_written(folder: Path) -> None:
    assert _card(folder) == _card(folder)


def test_artifact_without_a_table_still_has_a_card(folder: Path) -> None:
    (folder / "table.json").unlink()
    assert "| median position error, m | ≤ 3 | 1.235 |" in _card(folder)
