"""What can be said of the Dockerfiles without building them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from service.settings import Settings
from tests.docker.ignored import Ignored
from tests.docker.recipe import Stage, base_images, read_stages, substitute

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
HADOLINT = Path(sys.executable).parent / "hadolint"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture
def service() -> dict[str, Stage]:
    return read_stages(ROOT / "docker/service.Dockerfile")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    done = subprocess.run([HADOLINT, "--format", "json", path], capture_output=True, text=True)
    assert json.loads(done.stdout) == []


def test_hadolint_finds_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN cd /tmp\n")
    done = subprocess.run([HADOLINT, "--format", "json", tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert {finding["code"] for finding in json.loads(done.stdout)} >= {"DL3006", "DL3003"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_base_images_are_pinned_by_version(path: Path) -> None:
    assert all(re.fullmatch(r"[\w/.-]+:\d+\.\d+(\.\d+)?(-\w+)*", image) for image in base_images(read_stages(path)))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_is_copied_is_in_the_repository_and_sent_to_the_builder(path: Path) -> None:
    ignored = Ignored((ROOT / ".dockerignore").read_text())
    copied = [
        source
        for stage in read_stages(path).values()
        for step in stage.steps
        if step.name == "COPY" and "from" not in step.flags
        for source in step.values[:-1]
    ]
    assert copied
    for source in copied:
        files = [f for f in [ROOT / source, *(ROOT / source).rglob("*")] if f.is_file() and f.suffix != ".pyc"]
        assert files, source
        assert not [f for f in files if f.relative_to(ROOT).as_posix() in ignored]


@pytest.mark.parametrize(
    "name", [".git/config", "data/x.npz", "runs/a/b.pt", "tests/conftest.py", "service/__pycache__/x"]
)
def test_the_rest_is_not_sent_to_the_builder(name: str) -> None:
    assert name in Ignored((ROOT / ".dockerignore").read_text())


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_commands_in_the_comments_name_this_version(path: Path) -> None:
    named = re.findall(r"cellsense[a-z-]*:(\d[\w.]*)", path.read_text())
    assert named
    assert set(named) == {VERSION}


@pytest.mark.parametrize("target", ["cpu", "cuda", "demo"])
def test_targets_run_as_a_user_without_rights(service: dict[str, Stage], target: str) -> None:
    assert _last(service, target, "USER") == ("10001:10001",)


def test_default_target_is_the_one_for_the_cpu(service: dict[str, Stage]) -> None:
    assert list(service)[-1] == "cpu"


def test_port_and_environment_are_those_of_the_settings(service: dict[str, Stage]) -> None:
    environment = {
        name.removeprefix("CELLSENSE_").lower(): value
        for stage in service.values()
        for step in stage.steps
        if step.name == "ENV"
        for name, value in zip(step.values[::2], step.values[1::2], strict=False)
        if name.startswith("CELLSENSE_")
    }
    assert {"host", "grpc_port"} <= set(environment) <= set(Settings.model_fields)
    ports = (str(Settings.model_fields["port"].default), environment["grpc_port"])
    assert _last(service, "cpu", "EXPOSE") == ports


@pytest.mark.parametrize("lock", ["service.lock", "service-gpu.lock", "demo.lock"])
def test_nothing_that_trains_is_locked_for_serving(lock: str) -> None:
    packages = {line.partition("==")[0] for line in (ROOT / "docker" / lock).read_text().splitlines()}
    assert not packages & {"torch", "onnx", "onnxscript", "scipy", "scikit-learn"}
    assert len(packages & {"onnxruntime", "onnxruntime-gpu"}) == 1


def test_both_runtimes_are_of_one_version() -> None:
    runtimes = [
        re.search(r"^onnxruntime(?:-gpu)?==(\S+)", (ROOT / "docker" / lock).read_text(), re.MULTILINE)
        for lock in ("service.lock", "service-gpu.lock")
    ]
    assert len({found[1] for found in runtimes if found}) == 1


def test_reader_knows_stages_flags_and_lists(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        'FROM debian:12.1-slim AS a\nRUN true \\\n  && false\nFROM a\nCOPY --from=a /x /y\nCMD ["serve"]\n'
    )
    stages = read_stages(tmp_path / "Dockerfile")
    assert [(stage.name, stage.base) for stage in stages.values()] == [("a", "debian:12.1-slim"), ("1", "a")]
    copy, command = stages["1"].steps
    assert (copy.flags, copy.values, copy.line) == ({"from": "a"}, ("/x", "/y"), 5)
    assert (command.values, command.is_json) == (("serve",), True)
    assert base_images(stages) == {"debian:12.1-slim"}


def test_variables_are_replaced_and_must_be_known() -> None:
    assert substitute("${HOME}/bin:$PATH", {"HOME": "/root", "PATH": "/bin"}) == "/root/bin:/bin"
    with pytest.raises(KeyError):
        substitute("$NOWHERE", {})


def _last(stages: dict[str, Stage], target: str, instruction: str) -> tuple[str, ...]:
    """The values of an instruction as they hold at the end of a stage, which may have them from a stage before it."""
    for step in reversed(stages[target].steps):
        if step.name == instruction:
            return step.values
    return _last(stages, stages[target].base, instruction)
