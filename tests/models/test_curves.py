from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from models import curves
from models.curves import draw, main

BANDS = ("2.6 GHz", "28 GHz")


def _line(stage: str, epoch: int, validated: bool = False) -> dict[str, Any]:
    line: dict[str, Any] = {"stage": stage, "epoch": epoch, "loss": {"total": 9.0 / epoch, "vertex": 5.0 / epoch}}
    return line | ({"val": {band: {"mean_m": 8.0 / epoch, "median_m": 5.0} for band in BANDS}} if validated else {})


def _write(folder: Path, lines: list[dict[str, Any]]) -> None:
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are made from here on."""
    made: list[Figure] = []

    def make(*args: Any, **options: Any) -> Figure:
        made.append(Figure(*args, **options))
        return made[-1]

    monkeypatch.setattr(curves, "Figure", make)
    return made


def test_log_is_drawn_as_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path, [_line("frames", epoch, validated=epoch == 3) for epoch in (1, 2, 3)])
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1080, 432))
        assert len(picture.convert("L").getcolors()) > 20


def test_losses_are_beside_the_errors_of_each_band(tmp_path: Path, drawn: list[Figure]) -> None:
    _write(tmp_path, [_line("frames", epoch, validated=epoch > 1) for epoch in (1, 2, 3)])
    draw(tmp_path)
    losses, errors = drawn[0].axes
    assert {line.get_label(): list(line.get_ydata()) for line in losses.lines} == {
        "total": [9.0, 4.5, 3.0], "vertex": [5.0, 2.5, 5.0 / 3]
    }  # fmt: skip
    assert {line.get_label() for line in errors.lines} == {f"{b} {f}" for b in BANDS for f in ("mean", "median")}
    assert [list(line.get_xdata()) for line in errors.lines] == [[2, 3]] * 4
    assert list(errors.lines[0].get_ydata()) == [4.0, 8.0 / 3]


def test_no_curve_turns_back_where_the_second_stage_begins(tmp_path: Path, drawn: list[Figure]) -> None:
    stages = [("frames", 1), ("frames", 2), ("trajectories", 1), ("trajectories", 2)]
    _write(tmp_path, [_line(*stage, validated=True) for stage in stages])
    draw(tmp_path)
    for axes in drawn[0].axes:
        for line in axes.lines:
            places = [place for place in line.get_xdata() if place == place]  # a gap between stages is as good
            assert places == sorted(set(places)), line.get_label()


def test_run_that_was_never_validated_has_a_picture(tmp_path: Path) -> None:
    _write(tmp_path, [_line("frames", 1)])
    assert draw(tmp_path).exists()


def test_folder_without_a_log_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        assert main([str(folder)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "log.jsonl" in line
        assert str(folder) in line
    assert not list(tmp_path.iterdir())
