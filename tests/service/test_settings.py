from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings


def test_every_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLSENSE_PORT", "9001")
    monkeypatch.setenv("CELLSENSE_MODELS", "/models")
    monkeypatch.setenv("CELLSENSE_DEADLINE_S", "0.5")
    settings = Settings()
    assert (settings.port, settings.models, settings.deadline_s) == (9001, Path("/models"), 0.5)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("scadf", ("scadf",)), ("scadf,gated-fusion", ("scadf", "gated-fusion")), (" a , b,", ("a", "b")), ("", ())],
)
def test_names_are_written_with_commas_between_them(
    monkeypatch: pytest.MonkeyPatch, written: str, meant: tuple[str, ...]
) -> None:
    assert Settings(prefer=written).prefer == meant  # as a flag
    monkeypatch.setenv("CELLSENSE_PREFER", written)
    assert Settings().prefer == meant
    assert Settings(prefer=("other",)).prefer == ("other",)


def test_argument_has_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLSENSE_PORT", "9001")
    assert Settings(port=9002).port == 9002


def test_models_are_by_default_those_shipped_beside_the_package() -> None:
    assert Settings().models == Path(__file__).resolve().parents[2] / "models" / "zoo"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("name", "value"), [("port", 65_536), ("deadline_s", 0), ("provider", "tpu"), ("workers", 0), ("threads", 0)]
)
def test_value_that_makes_no_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})


def test_password_of_redis_is_not_shown() -> None:
    assert "secret" not in repr(Settings(redis="redis://user:secret@host"))
