"""Processes forked from this one, each with a line to it: a socket that is as good as a pulse.

They share the memory of what was imported before. A child says that it lives once a second; one that has been silent
for too long is replaced by its parent. When the parent dies, however that happens, the line ends and so does the child.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import signal
import socket
import struct
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from multiprocessing import get_context
from pathlib import Path

import structlog

BEAT_S = 1.0
SILENT_S = 60.0  # on a busy machine a process that lives may be kept from saying so for long
_LENGTH = struct.Struct("<I")
_NAME = Path("/proc/self/comm")  # what `ps` and `top` call the process; the kernel keeps 15 bytes of it
_FORK = get_context("fork")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Line:
    """A child's end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    async def beat(self) -> None:
        """Say that this process lives, until cancelled."""
        while True:
            self.say(b"")
            await asyncio.sleep(BEAT_S)

    def say(self, content: bytes) -> None:
        """Tell the parent something. What it does not read at once is waited for."""
        with contextlib.suppress(OSError):  # the parent has died, and so will this process
            self._end.sendall(_LENGTH.pack(len(content)) + content)

    def wait_for_end(self) -> None:
        """Block until the parent has died."""
        with contextlib.suppress(OSError):
            self._end.recv(1)


class Child:
    """A process as its parent sees it. Runs from the start."""

    def __init__(
        self,
        name: str,
        run: Callable[[Line], int],
        siblings: Iterable[Child] = (),
        orphaned: Callable[[], object] = lambda: None,
    ) -> None:
        """Fork.

        Args:
            name: of the process.
            run: what it does; its exit status.
            siblings: whose lines it does not keep.
            orphaned: called in it when its parent has died, before it is told to end.
        """
        self.name = name
        self._line, theirs = socket.socketpair()
        lines = [self._line, *(sibling._line for sibling in siblings)]
        self._process = _FORK.Process(target=_child, args=(name, run, theirs, lines, orphaned))
        with theirs, warnings.catch_warnings():
            # From Python 3.12 on, a fork beside threads warns. Those that there are belong to numerical libraries,
            # which end them at a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        self._line.setblocking(False)
        self._heard = bytearray()
        self._heard_at_s = time.monotonic()

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process.pid is not None, "it was started"
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it lives; that of a process ended by a signal is the signal's number, negative."""
        return self._process.exitcode

    @property
    def waited_for(self) -> tuple[int, int]:
        """File descriptors that become readable when there is something to `hear`, and when it has ended."""
        return self._line.fileno(), self._process.sentinel

    def hear(self) -> list[bytes]:
        """What it has told since the last time."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while content := self._line.recv(65_536):
                self._heard += content
                self._heard_at_s = time.monotonic()
        told = []
        while len(self._heard) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._heard)[0]
            if len(self._heard) < end:
                break
            if end > _LENGTH.size:
                told.append(bytes(self._heard[_LENGTH.size : end]))
            del self._heard[:end]
        return told

    def kill_if_silent(self) -> None:
        """Kill it where it has not said for long that it lives."""
        silent_s = time.monotonic() - self._heard_at_s
        if silent_s > SILENT_S and self.exit_status is None:
            log.error("A process is silent, and is killed", process=self.name, pid=self.pid, silent_s=round(silent_s))
            self._process.kill()

    def terminate(self) -> None:
        """Ask it to end."""
        if self.exit_status is None:
            self._process.terminate()

    def end(self, grace_s: float) -> None:
        """Wait until it has ended; kill it where that takes longer."""
        self._process.join(grace_s)
        if self.exit_status is None:
            log.error("A process does not end, and is killed", process=self.name, pid=self.pid)
            self._process.kill()
            self._process.join()
        self._line.close()


def prepare_to_fork() -> None:
    """Put what was imported where the garbage collector does not write to it: children share it for good."""
    gc.collect()
    gc.freeze()


def wait(children: Iterable[Child], wake: socket.socket, timeout_s: float) -> None:
    """Wait until a child has told something or has ended, or `wake` has something to read, at most for so long."""
    descriptors = [wake.fileno(), *(descriptor for child in children for descriptor in child.waited_for)]
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll(timeout_s * 1000)


def _child(
    name: str,
    run: Callable[[Line], int],
    end: socket.socket,
    others: Iterable[socket.socket],
    orphaned: Callable[[], object],
) -> None:
    for other in others:
        other.close()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        _NAME.write_text(name)
    line = Line(end)
    threading.Thread(target=_end_with_parent, args=(line, orphaned), daemon=True, name="line").start()
    raise SystemExit(run(line))


def _end_with_parent(line: Line, orphaned: Callable[[], object]) -> None:
    line.wait_for_end()
    orphaned()
    os.kill(os.getpid(), signal.SIGTERM)
