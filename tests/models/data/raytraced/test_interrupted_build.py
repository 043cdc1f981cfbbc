"""A build by the ray tracer that is killed and started again, in processes of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.data.checksums import wrong_sums
from tests.models.data.ray_tracer import need_ray_tracer

need_ray_tracer()

TIMEOUT_S = 900.0


def _build(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    options = ["--profile", "small", "--site", "munich", "--episodes", "3", "--out", str(folder), "--json", *more]
    return subprocess.Popen([sys.executable, "-m", "models.data.build", *options])


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    assert _build(folder, "--workers", "1").wait(TIMEOUT_S) == 0
    assert len(_files(folder)) == 4
    return _files(folder)


@pytest.mark.slow
def test_killed_build_goes_on_and_gives_the_bytes_of_one_that_was_not(tmp_path: Path, whole: dict[str, bytes]) -> None:
    victim = _build(tmp_path, "--workers", "1")
    deadline_s = time.monotonic() + TIMEOUT_S
    while not list(tmp_path.glob("munich-*.safetensors")) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    victim.kill()
    victim.wait()
    assert 0 < len(_files(tmp_path)) < len(whole)
    # The rest by two commands side by side, as machines share a build.
    rest = [_build(tmp_path, "--workers", "1", "--shards", "2", "--shard", str(shard)) for shard in range(2)]
    assert [process.wait(TIMEOUT_S) for process in rest] == [0, 0]
    assert _files(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="no Ray: `pip install 'cellsense[ray]'` installs it")
def test_ray_traces_the_same_bytes(tmp_path: Path, whole: dict[str, bytes]) -> None:
    assert _build(tmp_path, "--ray", "local", "--workers", "2").wait(TIMEOUT_S) == 0
    assert _files(tmp_path) == whole
    assert wrong_sums(tmp_path) == []
