"""The commands that a reader is told to type and that need an engine or a cluster: what they name is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.docker.recipe import read_stages
from tests.docker.test_dockerfiles import ROOT, VERSION

TOLD_IN = [
    ROOT / "README.md",
    *sorted((ROOT / "docker").glob("*.Dockerfile")),
    *sorted((ROOT / "docker").glob("*.yaml")),
    *sorted((ROOT / "deploy").rglob("*.y*ml")),
]
COMMAND = re.compile(r"(?<![\w/-])((?:docker (?:build|compose|run)|kubectl (?:kustomize|apply)|helm install) [^`\n]*)")


def _told() -> Iterator[list[str]]:
    """The commands in texts and comments, in words; one that is longer than its line is put together."""
    for path in TOLD_IN:
        text = re.sub(r"\\\n[# ]*", "", path.read_text())
        for found in COMMAND.findall(text):
            yield shlex.split(re.split(r"[:;,)] |  ", found)[0], comments=True)


TOLD = [" ".join(words) for words in _told()]


def _values(words: list[str], *flags: str) -> list[str]:
    return [value for flag, value in pairwise(words) if flag in flags]


def test_there_is_one_of_each_kind() -> None:
    kinds = ("docker build", "docker compose", "docker run", "kubectl apply")
    assert [kind for kind in kinds if not any(command.startswith(kind) for command in TOLD)] == []


@pytest.mark.parametrize("command", sorted(set(TOLD)))
def test_what_is_named_is_there(command: str) -> None:
    words = command.split()
    for file in _values(words, "-f", "--file"):
        assert (ROOT / file).is_file(), file
    for folder in [*_values(words, "-k"), *_values(words, "kustomize")]:
        assert (ROOT / folder / "kustomization.yaml").is_file(), folder


@pytest.mark.parametrize("command", sorted({command for command in TOLD if command.startswith("docker build")}))
def test_images_are_built_and_named_as_the_others_expect(command: str) -> None:
    words = command.split()
    (file,), (tag,) = _values(words, "-f"), _values(words, "-t")
    stages = read_stages(ROOT / file)
    target = (_values(words, "--target") or [list(stages)[-1]])[0]
    assert target in stages
    assert tag == (f"cellsense-train:{VERSION}" if "train" in file else f"cellsense:{VERSION}-{target}")
    assert words[-1] == "."  # the .dockerignore is there


@pytest.mark.parametrize("command", sorted({command for command in TOLD if command.startswith("docker run")}))
def test_images_that_are_run_are_built_by_another_command(command: str) -> None:
    built = {tag for other in TOLD if other.startswith("docker build") for tag in _values(other.split(), "-t")}
    assert built & set(command.split())
