from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service import cli
from service.settings import Settings
from service.version import package_version


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each command was started with, in the place of starting it."""
    calls: dict[str, Any] = {}

    def note(name: str) -> Any:
        def start(**options: Any) -> int:
            calls[name] = options
            return 0

        return start

    for name in ("serve", "health", "replay", "stream", "demo"):
        monkeypatch.setattr(cli, name, note(name))
    return calls


def test_serve_passes_on_only_what_was_given(started: dict[str, Any]) -> None:
    assert cli.main(["serve", "--port", "9000", "--redis", "redis://host", "--late-tolerance-s", "2"]) == 0
    assert started["serve"] == {"port": "9000", "redis": "redis://host", "late_tolerance_s": "2"}


def test_replay_and_demo_have_defaults(started: dict[str, Any]) -> None:
    cli.main(["replay", "sample.jsonl.gz"])
    cli.main(["demo", "--models", "zoo", "--json", "--all"])
    assert started["replay"] == {
        "file": Path("sample.jsonl.gz"),
        "url": "http://127.0.0.1:8000",
        "out": None,
        "as_json": False,
        "every_row": False,
    }
    assert started["demo"] == {"models": "zoo", "out": Path("demo-out"), "as_json": True, "every_row": True}


def test_stream_takes_files_or_none_and_health_says_where(started: dict[str, Any]) -> None:
    cli.main(["stream", "--url", "http://service:8000", "--models", "zoo"])
    cli.main(["health", "--port", "9000"])
    assert started["stream"] == {"files": [], "url": "http://service:8000", "models": "zoo"}
    assert started["health"] == {"port": "9000"}
    cli.main(["stream", "a.jsonl.gz", "b.jsonl.gz"])
    assert started["stream"] == {"files": [Path("a.jsonl.gz"), Path("b.jsonl.gz")], "url": "http://127.0.0.1:8000"}


def test_every_setting_is_a_flag_and_a_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    shown = capsys.readouterr().out
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')} " in shown
        assert f"[CELLSENSE_{name.upper()}]" in shown


def test_names_are_shown_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "[CELLSENSE_PREFER] (default: gated-fusion)" in shown


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"cellsense {package_version()}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "--port", "many"], "port: Input should be a valid integer"),
        (["serve", "--provider", "tpu"], "provider: Input should be 'cpu', 'cuda' or 'tensorrt'"),
        (["serve", "--models", "/nowhere"], "/nowhere: expected a folder of artifacts"),
        (["demo", "--models", "/nowhere"], "/nowhere: expected an artifact"),
        (["stream", "--models", "/nowhere"], "/nowhere: expected an artifact"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], message: str
) -> None:
    extra = ["--out", str(tmp_path)] if arguments[0] == "demo" else []
    assert cli.main([*arguments, *extra]) == 2
    captured = capfd.readouterr()
    assert message in captured.err + captured.out
    assert "Traceback" not in captured.err


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def without_runtime(**_: object) -> int:
        raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

    monkeypatch.setattr(cli, "serve", without_runtime)
    assert cli.main(["serve"]) == 2
    assert "onnxruntime is not installed: install cellsense[cpu]" in capsys.readouterr().err
