from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.data.raytraced import llvm
from models.data.raytraced.llvm import NoLLVM, find_llvm, use_llvm


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which libraries are looked for, empty; and no library chosen by the user."""
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(llvm, "_PATTERNS", (str(tmp_path / "*" / "libLLVM*.so*"), str(tmp_path / "libLLVM*.dylib")))
    (tmp_path / "lib").mkdir()
    return tmp_path / "lib"


def _put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_newest_library_is_chosen_whatever_the_form_of_its_name(library: Path) -> None:
    _put(library, "libLLVM-15.so.1", "libLLVM-17.so", "libLLVM.so.19.1", "libLLVM-9.so", "libLLVM-18.so.1")
    assert Path(find_llvm()).name == "libLLVM.so.19.1"


def test_two_digits_are_more_than_one(library: Path) -> None:
    _put(library, "libLLVM-9.so", "libLLVM-21.so", "libLLVM-20.so")
    assert Path(find_llvm()).name == "libLLVM-21.so"


def test_libraries_that_abort_are_not_used_and_the_error_says_what_to_install(library: Path) -> None:
    _put(library, "libLLVM-15.so", "libLLVM-16.so.1")
    with pytest.raises(NoLLVM) as refusal:
        find_llvm()
    for part in ("17", "[15, 16]", "apt-get install libllvm19", "DRJIT_LIBLLVM_PATH"):
        assert part in str(refusal.value)


def test_machine_without_llvm_is_told_that_there_is_none(library: Path) -> None:
    with pytest.raises(NoLLVM, match="found none"):
        find_llvm()


def test_library_that_the_user_chose_is_used(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(library, "libLLVM-19.so")
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", "/somewhere/libLLVM-20.so")
    assert find_llvm() == "/somewhere/libLLVM-20.so"


def test_ray_tracer_is_pointed_at_the_library(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(library, "libLLVM-19.so")
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", "")  # set back after the test
    use_llvm()
    assert os.environ["DRJIT_LIBLLVM_PATH"] == str(library / "libLLVM-19.so")
