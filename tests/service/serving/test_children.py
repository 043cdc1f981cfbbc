"""Processes that are forked, watched and ended: real ones."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from service.serving import children, line
from service.serving.children import Child, wait
from service.serving.line import Line
from tests.service.serving.forked import forked

PATIENCE_S = 20.0


@pytest.fixture
def started() -> Iterator[list[Child]]:
    made: list[Child] = []
    yield made
    for child in made:
        child.terminate()
        child.end(0.1)


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def sleeper(line: Line) -> int:
    time.sleep(60)
    return 0


def test_a_child_has_a_name_and_an_exit_status(started: list[Child]) -> None:
    child = forked("cellsense-test", lambda line: 7 if Path("/proc/self/comm").read_text() == "cellsense-test\n" else 1)
    started.append(child)
    until(lambda: child.exit_status is not None)
    assert child.exit_status == 7


def test_what_a_child_tells_is_heard_in_whole_pieces(started: list[Child]) -> None:
    def tell(line: Line) -> int:
        line.say(b"one")
        line.say(b"x" * 300_000)
        line.say(b"")
        line.say(b"three")
        return 0

    child = forked("teller", tell)
    started.append(child)
    told: list[bytes] = []
    until(lambda: told.extend(child.hear()) or len(told) == 3)
    assert told == [b"one", b"x" * 300_000, b"three"]


def test_its_parent_need_not_look_for_news_by_itself(started: list[Child]) -> None:
    wake, woken = socket.socketpair()
    child = forked("teller", lambda line: line.say(b"news") or 0)  # type: ignore[func-returns-value]
    started.append(child)
    wait([child], PATIENCE_S, wake)
    until(lambda: child.exit_status is not None)
    before_s = time.monotonic()
    wait([child], PATIENCE_S, wake)  # it has ended
    woken.send(b"x")
    wait([], PATIENCE_S, wake)
    assert time.monotonic() - before_s < PATIENCE_S / 2
    wake.close()
    woken.close()


def test_a_child_ends_by_a_signal_though_its_parent_handles_it(started: list[Child]) -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        child = forked("sleeper", sleeper)
    finally:
        signal.signal(signal.SIGTERM, before)
    started.append(child)
    until(lambda: psutil.Process(child.pid).name() == "sleeper")
    child.terminate()
    child.end(PATIENCE_S)
    assert child.exit_status == -signal.SIGTERM


def test_a_child_that_does_not_end_is_killed(started: list[Child]) -> None:
    def stubborn(line: Line) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        line.say(b"ready")
        return sleeper(line)

    child = forked("stubborn", stubborn)
    started.append(child)
    until(child.hear)
    child.terminate()
    child.end(0.05)
    assert child.exit_status == -signal.SIGKILL


def test_a_child_that_is_silent_is_killed_and_one_that_is_not_is_not(
    started: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    def beating(line: Line) -> int:
        asyncio.run(line.beat())
        return 0

    monkeypatch.setattr(line, "BEAT_S", 0.05)
    alive, silent = forked("alive", beating), forked("silent", sleeper)
    started += [alive, silent]
    time.sleep(0.3)
    monkeypatch.setattr(children, "SILENT_S", 0.25)
    assert alive.hear() == silent.hear() == []
    for child in (alive, silent):
        child.kill_if_silent()
    until(lambda: silent.exit_status == -signal.SIGKILL)
    assert alive.exit_status is None
