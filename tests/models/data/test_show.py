from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.models.data.ray_tracer import need_ray_tracer
from tests.models.data.showing.small_set import small_set

need_ray_tracer()

from models.data.show import main

MAX_BYTES, WIDTH_PX = 400_000, 1800


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    small_set(folder)
    return folder


def _run(capsys: pytest.CaptureFixture[str], folder: Path, *options: object) -> dict[str, dict[str, object]]:
    assert main(["--set", str(folder), "--json", *map(str, options)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    report: dict[str, dict[str, object]] = json.loads(out)
    return report


def _refused(capsys: pytest.CaptureFixture[str], *options: object) -> str:
    assert main(list(map(str, options))) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err


def _check_picture(path: Path) -> None:
    assert path.stat().st_size < MAX_BYTES
    with Image.open(path) as picture:
        assert picture.width == WIDTH_PX


@pytest.mark.parametrize("ue", [0, 1], ids=["heard", "in outage"])
def test_snapshot_is_drawn(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], ue: int) -> None:
    out = tmp_path / "shot.png"
    report = _run(
        capsys, folder, "--out", out, "--episode", 16, "--snapshot", 1, "--ue", ue, "--map", tmp_path / "none"
    )
    _check_picture(out)
    shot = report["out"]
    assert (shot["part"], shot["time_s"], shot["ues"], shot["outages"]) == ("test", 0.5, 2, 1)
    assert shot["bodies"] == {"car": 1, "person": 1, "truck": 1}
    assert shot["bytes"] == out.stat().st_size


def test_snapshot_is_drawn_over_the_city(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    height = np.zeros((40, 40))
    height[10:20, 5:15] = 18.0
    np.savez(tmp_path / "map.npz", height=height, extent=np.array([-200.0, 200.0, -200.0, 200.0]))
    plain, city = tmp_path / "plain.png", tmp_path / "city.png"
    _run(capsys, folder, "--out", plain, "--map", tmp_path / "none.npz")
    _run(capsys, folder, "--out", city, "--map", tmp_path / "map.npz")
    assert plain.read_bytes() != city.read_bytes()


def test_same_snapshot_gives_the_same_bytes(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.png"):
        _run(capsys, folder, "--out", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_set_is_drawn_and_described(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, card = tmp_path / "coverage.png", tmp_path / "card.md"
    report = _run(capsys, folder, "--coverage", picture, "--card", card)
    _check_picture(picture)
    assert report["coverage"]["frames"] == report["card"]["frames"] == 12
    text = card.read_text()
    for words in (
        "3 episodes of 2 snapshots",
        "| train | 1 | 4 |",
        "| val | 1 | 4 |",
        "| test | 1 | 4 |",
        "6 GHz, 100 MHz",
    ):
        assert words in text
    assert "nan" not in text
    assert "inf" not in text


def test_card_explains_every_array_of_a_shard(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from models.data.shards import ShardSet

    _run(capsys, folder, "--card", tmp_path / "card.md")
    text = (tmp_path / "card.md").read_text()
    for name in ShardSet.open(folder).read(0):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |") and "| [" in line][:1]
        assert not row.endswith("| – |")


def test_progress_and_what_was_written_go_to_the_terminal(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--set", str(folder), "--card", str(tmp_path / "card.md")]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"wrote {tmp_path / 'card.md'}, ")
    assert "3/3" in err


def test_missing_set_says_how_to_build_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = _refused(capsys, "--set", tmp_path / "nowhere", "--out", tmp_path / "shot.png")
    assert "nowhere: expected a built set" in error
    assert "models.data.build" in error


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--episode", 5), "expected one of its 3 episodes (from 0 to 16, with gaps), got 5"),
        (("--snapshot", 2), "--snapshot: expected 0 to 1 in episode 0, got 2"),
        (("--snapshot", -1), "--snapshot: expected 0 to 1 in episode 0, got -1"),
        (("--ue", 2), "--ue: expected 0 to 1 in episode 0, got 2"),
    ],
)
def test_what_the_set_does_not_have_is_refused(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], expected: str
) -> None:
    assert expected in _refused(capsys, "--set", folder, "--out", tmp_path / "shot.png", *options)
    assert not (tmp_path / "shot.png").exists()


@pytest.mark.parametrize("option", ["--out", "--coverage", "--card"])
def test_set_without_an_episode_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    small_set(tmp_path / "empty", episodes=())
    assert "expected" in _refused(capsys, "--set", tmp_path / "empty", option, tmp_path / "file")


def test_layout_of_another_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_set(tmp_path)
    path = tmp_path / "set.json"
    path.write_text(path.read_text().replace('"layout": "munich"', '"layout": "atlantis"'))
    assert "expected a set of layout munich, got 'atlantis'" in _refused(
        capsys, "--set", tmp_path, "--card", tmp_path / "c"
    )


def test_missing_ray_tracer_is_named(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "models.data.showing.card", None)  # as if it could not be imported
    assert "make raytrace" in _refused(capsys, "--set", folder, "--card", tmp_path / "card.md")


def test_nothing_to_write_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "--out, --coverage and --card" in capsys.readouterr().err
