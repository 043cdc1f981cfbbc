"""The lock files of docker/ hold what pyproject.toml asks for: an image from an older one would lack a package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
EXTRAS = {name: extras.split() for name, extras in re.findall(r"^(\w+)_EXTRAS := (.+)$", MAKEFILE, re.MULTILINE)}
EXTRAS["service-gpu"] = ["gpu", *(extra for extra in EXTRAS["service"] if extra != "cpu")]


def test_every_lock_is_known() -> None:
    assert {path.stem for path in (ROOT / "docker").glob("*.lock")} == set(EXTRAS)


@pytest.mark.parametrize("name", sorted(EXTRAS))
def test_lock_holds_what_the_project_asks_for(name: str) -> None:
    lines = (ROOT / f"docker/{name}.lock").read_text().splitlines()
    locked = {_package(line) for line in lines if "==" in line}
    wanted = [*PROJECT["dependencies"], *(r for extra in EXTRAS[name] for r in PROJECT["optional-dependencies"][extra])]
    missing = {_package(requirement) for requirement in wanted} - locked
    assert not missing, f"docker/{name}.lock is older than pyproject.toml: make lock"


def _package(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
