"""A build that is killed and started again, in processes of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.models.data.ray_tracer import need_ray_tracer

need_ray_tracer()

TIMEOUT_S = 300.0


def _build(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    options = ["--profile", "sample", "--episodes", "3", "--out", str(folder), "--json", *more]
    return subprocess.Popen([sys.executable, "-m", "models.data.build", *options])


@pytest.mark.slow
def test_killed_build_goes_on_and_gives_the_bytes_of_one_that_was_not(tmp_path: Path) -> None:
    assert _build(tmp_path / "whole").wait(TIMEOUT_S) == 0
    victim = _build(tmp_path / "cut")
    deadline_s = time.monotonic() + TIMEOUT_S
    while not list((tmp_path / "cut").glob("episode-*")) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    victim.kill()
    victim.wait()
    assert len(list((tmp_path / "cut").glob("episode-*"))) < 3
    # The rest by two processes side by side, as a build goes parallel.
    rest = [_build(tmp_path / "cut", "--shards", "2", "--shard", str(shard)) for shard in range(2)]
    assert [process.wait(TIMEOUT_S) for process in rest] == [0, 0]
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert {p.name: p.read_bytes() for p in (tmp_path / "cut").iterdir() if ".tmp" not in p.name} == whole
