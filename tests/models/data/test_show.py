from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from models.data.schema import COLUMNS
from models.data.show import main
from models.data.showing.card import write_card
from models.data.showing.frames import gather
from models.data.throughput import append_report
from tests.models.data.fake_set import fake_set

MAX_BYTES, WIDTH_PX = 400_000, 1600
SITES = ("toy", "far")
OUTAGE = ("--episode", 0, "--snapshot", 0, "--ue", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_set(tmp_path_factory.mktemp("set"), SITES, {"train": 1, "test": 1, "empty": 1}).folder


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


def _episode_of(folder: Path, purpose: str) -> int:
    return json.loads((folder / "set.json").read_text())["settings"]["purposes"]["toy"].index(purpose)


@pytest.mark.parametrize("options", [(), OUTAGE], ids=["heard", "in outage"])
def test_snapshot_is_drawn(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...]
) -> None:
    out = tmp_path / "shot.png"
    shot = _run(capsys, folder, "--out", out, *options)["out"]
    _check_picture(out)
    assert (shot["site"], shot["time_s"], shot["ues"], shot["outages"]) == ("toy", 0.0, 2, 1)
    assert shot["bodies"] == {"car": 1, "person": 1, "truck": 1}
    assert shot["bytes"] == out.stat().st_size


def test_empty_scene_is_drawn(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "empty.png"
    shot = _run(capsys, folder, "--out", out, "--episode", _episode_of(folder, "empty"))["out"]
    _check_picture(out)
    assert (shot["purpose"], shot["ues"], shot["boxes"]) == ("empty", 0, 0)


def test_same_snapshot_gives_the_same_bytes_and_another_band_others(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = []
    for name, band in (("a", "6 GHz"), ("b", "6 GHz"), ("c", "28 GHz")):
        _run(capsys, folder, "--site", "far", "--out", tmp_path / name, "--band", band)
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_sites_and_links_are_drawn(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coverage, loss = tmp_path / "coverage.png", tmp_path / "loss.png"
    report = _run(capsys, folder, "--coverage", coverage, "--path-loss", loss)
    for picture in (coverage, loss):
        _check_picture(picture)
    assert report["coverage"]["frames"] == report["path_loss"]["frames"] == 16


def test_card_explains_every_column_and_shows_its_pictures(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sionna.rt", reason="no ray tracer: `make raytrace` installs sionna-rt")
    card = tmp_path / "cards" / "fake.md"
    report = _run(capsys, folder, "--card", card)
    text = card.read_text()
    for name in COLUMNS:
        assert sum(line.startswith(f"| `{name}` |") for line in text.splitlines()) >= 1
    for picture in ("fake-snapshot.png", "fake-coverage.png", "fake-path-loss.png"):
        assert f"({picture})" in text
        _check_picture(card.with_name(picture))
    assert "2 sites, 6 episodes of 2 snapshots" in text
    assert "No build has left a report" in text
    assert report["card"]["frames"] == 16
    for hole in ("nan", "None", str(folder)):
        assert hole not in text


def test_card_has_the_throughput_of_the_builds(tmp_path: Path) -> None:
    pytest.importorskip("sionna.rt", reason="no ray tracer: `make raytrace` installs sionna-rt")
    shards = fake_set(tmp_path / "set", plan={"train": 1, "test": 1})
    shards.note_provenance({"commit": "c0ffee", "changed": True, "numpy": "2.0"})
    report = {
        "finished": "2026-01-02T03:04:05+00:00", "complete": True, "kind": "ray", "workers": 2, "snapshots": 48,
        "seconds": 20.0, "snapshots_per_s": 2.4, "bytes_per_snapshot": 500_000,
        "snapshots_per_s_of_worker": [1.3, 1.2], "cpu": "a processor", "cores": 2, "commit": "c0ffee", "changed": True,
    }  # fmt: skip
    append_report(shards.folder, report)
    pictures = [tmp_path / "a.png"] * 3
    write_card(tmp_path / "card.md", shards, gather(shards, [], quiet=True), pictures, quiet=True)
    text = (tmp_path / "card.md").read_text()
    assert "| 2026-01-02 | ray | 2 | 48 | 20 s | 2.4 | 1.3, 1.2 | 500 kB | a processor, 2 cores |" in text
    assert "Commit `c0ffee`, with changes that were not committed; numpy 2.0." in text


def test_pictures_need_no_ray_tracer(tmp_path: Path, folder: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('sionna', 'sionna.rt', 'mitsuba', 'drjit'): sys.modules[name] = None\n"
        "from models.data.show import main\n"
        f"drawn = ['--out', {str(tmp_path / 'a.png')!r}, '--coverage', {str(tmp_path / 'b.png')!r}]\n"
        f"drawn += ['--path-loss', {str(tmp_path / 'c.png')!r}]\n"
        f"sys.exit(main(['--set', {str(folder)!r}, *drawn]))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert all((tmp_path / name).exists() for name in ("a.png", "b.png", "c.png"))


def test_card_without_the_ray_tracer_says_what_to_install(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr("models.data.raytraced.channel", raising=False)
    monkeypatch.setitem(sys.modules, "models.data.raytraced.channel", None)  # as if it could not be imported
    assert "make raytrace" in _refused(capsys, "--set", folder, "--card", tmp_path / "card.md")


def test_progress_and_what_was_written_go_to_the_terminal(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--set", str(folder), "--site", "far", "--path-loss", str(tmp_path / "a.png")]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"wrote {tmp_path / 'a.png'}, ")
    assert "3/3" in err  # of one of the two sites


def test_missing_set_says_how_to_build_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = _refused(capsys, "--set", tmp_path / "nowhere", "--out", tmp_path / "shot.png")
    assert "nowhere: expected a built set" in error
    assert "models.data.build" in error


def test_set_of_an_old_schema_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set.json").write_text(json.dumps({"schema": 1, "fingerprint": "0", "settings": {}}))
    assert "expected a set of schema 2, got schema 1" in _refused(capsys, "--set", tmp_path, "--out", tmp_path / "a")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--site", "nowhere"), "expected one of toy, far, got 'nowhere'"),
        (("--episode", 5), "expected one of the 3 episodes of toy (0 to 2), got 5"),
        (("--snapshot", 2), "--snapshot: expected 0 to 1 in episode 0 of toy, got 2"),
        (("--snapshot", -1), "--snapshot: expected 0 to 1 in episode 0 of toy, got -1"),
        (("--ue", 2), "--ue: expected one of 0, 1 in episode 0, got 2"),
        (("--band", "5 GHz"), "expected one of 2.6 GHz, 6 GHz, 28 GHz, got '5 GHz'"),
    ],
)
def test_what_the_set_does_not_have_is_refused(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], expected: str
) -> None:
    assert expected in _refused(capsys, "--set", folder, "--out", tmp_path / "shot.png", *options)
    assert not (tmp_path / "shot.png").exists()


@pytest.mark.parametrize("option", ["--out", "--coverage", "--path-loss", "--card"])
def test_set_without_an_episode_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    shards = fake_set(tmp_path / "empty", plan={"train": 1})
    shards.path("toy", 0).unlink()
    assert "expected" in _refused(capsys, "--set", shards.folder, option, tmp_path / "file")


def test_nothing_to_write_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "--out, --coverage, --path-loss and --card" in capsys.readouterr().err
