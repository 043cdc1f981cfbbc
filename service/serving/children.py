"""Processes as the one sees them that watches them, each by a line: a socket that is as good as a pulse.

A child says that it lives once a second; one that has been silent for too long is to be replaced. When whoever watches
dies, however that happens, the lines end and so do the children. Imports little: it is in memory for nothing else.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Iterable

SILENT_S = 60.0  # on a busy machine a process that lives may be kept from saying so for long
REAP_S = 0.01  # how soon to look again for the exit status of a child whose line has ended
LENGTH = struct.Struct("<I")


class Child:
    """A process that descends from this one and whose exit status comes here."""

    def __init__(self, name: str, pid: int, line: socket.socket) -> None:
        """Watch it.

        Args:
            name: of the process.
            pid: of it.
            line: this end; the child has a `Line` on the other.
        """
        self.name = name
        self.pid = pid
        self._line = line
        self._line.setblocking(False)
        self._line_ended = False
        self._exit_status: int | None = None
        self._heard = bytearray()
        self._heard_at_s = time.monotonic()

    @property
    def exit_status(self) -> int | None:
        """None while it lives; that of a process ended by a signal is the signal's number, negative."""
        if self._exit_status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit_status = os.waitstatus_to_exitcode(status)
        return self._exit_status

    @property
    def waited_for(self) -> int | None:
        """File descriptor that becomes readable when there is something to `hear`, or it has ended; None afterwards."""
        return None if self._line_ended else self._line.fileno()

    def hear(self) -> list[bytes]:
        """What it has told since the last time."""
        with contextlib.suppress(BlockingIOError):
            while content := self._received():
                self._heard += content
                self._heard_at_s = time.monotonic()
            self._line_ended = True
        told = []
        while len(self._heard) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._heard)[0]
            if len(self._heard) < end:
                break
            if end > LENGTH.size:
                told.append(bytes(self._heard[LENGTH.size : end]))
            del self._heard[:end]
        return told

    def kill_if_silent(self) -> float:
        """Kill it where it has not said for long that it lives; the seconds for which it has not, else 0."""
        silent_s = time.monotonic() - self._heard_at_s
        if silent_s <= SILENT_S or self.exit_status is not None:
            return 0.0
        self._signal(signal.SIGKILL)
        return silent_s

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def end(self, grace_s: float) -> bool:
        """Wait until it has ended; kill it where that takes longer. Whether it has ended by itself."""
        kill_at_s = time.monotonic() + grace_s
        killed = False
        while self.exit_status is None:
            if not killed and time.monotonic() >= kill_at_s:
                self._signal(signal.SIGKILL)
                killed = True
            self.hear()  # so that it never waits for being heard
            wait([self], REAP_S if killed else kill_at_s - time.monotonic())
        self._line.close()
        return not killed

    def _received(self) -> bytes:
        try:
            return self._line.recv(65_536)
        except ConnectionError:
            return b""

    def _signal(self, number: int) -> None:
        if self.exit_status is None:
            os.kill(self.pid, number)


def wait(children: Iterable[Child], timeout_s: float, wake: socket.socket | None = None) -> None:
    """Wait until a child has told something or has ended, or `wake` has something to read, at most for so long."""
    poll = select.poll()
    if wake is not None:
        poll.register(wake, select.POLLIN)
    for child in children:
        if (descriptor := child.waited_for) is None:
            timeout_s = min(timeout_s, REAP_S)
        else:
            poll.register(descriptor, select.POLLIN)
    poll.poll(max(timeout_s, 0.0) * 1000)
