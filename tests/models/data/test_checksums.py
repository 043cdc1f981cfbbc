from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from models.data.checksums import NAME, sum_of, write_sums, wrong_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set.json").write_text("{}")
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_text(name)
    (tmp_path / "builds.json").write_text("[]")  # grows with every build: no data
    write_sums(tmp_path, {"a.safetensors": sum_of(b"a")})
    return tmp_path


def test_sums_are_what_coreutils_read(folder: Path) -> None:
    run = subprocess.run(["sha256sum", "--check", NAME], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["a.safetensors: OK", "b.safetensors: OK", "set.json: OK"]


def test_files_as_they_were_written_are_fine(folder: Path) -> None:
    assert wrong_sums(folder) == []


def test_changed_missing_and_unknown_files_are_named(folder: Path) -> None:
    (folder / "a.safetensors").write_text("A")
    (folder / "b.safetensors").unlink()
    (folder / "c.safetensors").write_text("c")
    wrong = wrong_sums(folder)
    assert [line.split(":")[0] for line in wrong] == ["b.safetensors", "c.safetensors", "a.safetensors"]
    assert sum_of(b"a") in wrong[2]
    assert sum_of(b"A") in wrong[2]


def test_another_build_does_not_wash_a_changed_file_clean(folder: Path) -> None:
    (folder / "a.safetensors").write_text("A")
    (folder / "c.safetensors").write_text("c")
    write_sums(folder, {})
    assert [line.split(":")[0] for line in wrong_sums(folder)] == ["a.safetensors"]


def test_description_of_the_set_may_grow(folder: Path) -> None:
    (folder / "set.json").write_text('{"provenance": []}')
    write_sums(folder, {})
    assert wrong_sums(folder) == []
