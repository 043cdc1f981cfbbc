"""Processes that one forks for another: real ones."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from service.serving.children import Child
from service.serving.nursery import _PR_SET_CHILD_SUBREAPER, Nursery, from_memory, in_memory, python

PATIENCE_S = 20.0
WARD = "tests.service.serving.ward"
PARENT = """
import sys, time
from service.serving.nursery import Nursery

nursery = Nursery("tests.service.serving.ward", [sys.argv[1]])
pids = [nursery.bear("sleeper").pid for _ in range(2)]
nursery.close()
print(*pids, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def orphans_of_other_tests_go_elsewhere() -> Iterator[None]:
    yield
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(WARD, [str(tmp_path / "orphaned")])
    yield made
    made.close()


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def born(nursery: Nursery, name: str, *descriptors: int) -> Child:
    child = nursery.bear(name, descriptors)
    assert child is not None
    return child


def told_by(child: Child) -> bytes:
    told: list[bytes] = []
    until(lambda: told.extend(child.hear()) or told)
    return told[0]


def test_what_a_nursery_forks_belongs_to_whoever_has_it(nursery: Nursery) -> None:
    child = born(nursery, "sleeper")
    assert told_by(child)
    assert psutil.Process(child.pid).name() == "sleeper"
    until(lambda: psutil.Process(child.pid).ppid() == os.getpid())
    child.terminate()
    assert child.end(PATIENCE_S)
    assert child.exit_status == -signal.SIGTERM


def test_what_a_nursery_has_forked_outlives_it(tmp_path: Path) -> None:
    nursery = Nursery(WARD, [str(tmp_path / "orphaned")])
    child = born(nursery, "sleeper")
    nursery.close()
    assert told_by(child)
    assert child.exit_status is None
    child.terminate()
    child.end(PATIENCE_S)
    assert not (tmp_path / "orphaned").exists()


def test_a_child_is_given_descriptors_and_its_exit_status_is_heard_of(nursery: Nursery) -> None:
    content = in_memory(b"x" * 300_000)
    child = born(nursery, "teller", content)
    os.close(content)
    assert told_by(child) == b"x" * 300_000
    until(lambda: child.exit_status is not None)
    assert child.exit_status == 4
    child.end(0)


def test_what_a_child_raises_is_its_exit_status(nursery: Nursery) -> None:
    children = [born(nursery, name) for name in ("interrupted", "raises")]
    assert told_by(children[0]) == b"True"  # Ctrl-C reaches it, though the nursery leaves it alone
    assert [child.end(PATIENCE_S) for child in children] == [True, True]
    assert [child.exit_status for child in children] == [5, 1]


def test_ctrl_c_does_not_disturb_a_nursery_that_still_imports(nursery: Nursery) -> None:
    nursery._process.send_signal(signal.SIGINT)
    assert born(nursery, "raises").end(PATIENCE_S)


def test_a_nursery_that_has_died_is_noticed(tmp_path: Path) -> None:
    nursery = Nursery("tests.service.serving.no_such_module")
    assert nursery.bear("sleeper") is None
    assert nursery.bear("sleeper") is None
    nursery.close()


@pytest.mark.parametrize("victim", [signal.SIGKILL, signal.SIGTERM])
def test_children_end_with_their_parent_however_that_ends(tmp_path: Path, victim: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "orphaned")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        os.kill(parent.pid, victim)
        parent.wait(PATIENCE_S)
        until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    assert (tmp_path / "orphaned").exists()


def test_a_module_is_found_wherever_it_was_found_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "somewhere.py").write_text("def main(arguments):\n    return len(arguments)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert subprocess.run(python("somewhere", "one", "two"), cwd="/", check=False).returncode == 2


def test_what_is_in_memory_can_be_read_again_and_again() -> None:
    descriptor = in_memory(b"content")
    assert [from_memory(descriptor) for _ in range(2)] == [b"content"] * 2
    os.close(descriptor)
