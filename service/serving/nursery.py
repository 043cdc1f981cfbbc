"""Where processes are born that share memory.

A nursery is a process that has imported what they need, and is there no longer than it takes to fork them. Imports
little itself, as whoever watches them does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence

from service.serving.children import Child

PID = struct.Struct("<q")
ORDER_BYTES, MOST_DESCRIPTORS = 64, 8  # of an order
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Nursery:
    """A process that forks others when it is told to. Starts at once."""

    def __init__(self, module: str, arguments: Sequence[str] = (), descriptors: Sequence[int] = ()) -> None:
        """Start it.

        Args:
            module: whose `main` it runs: on the socket with the descriptor of its first argument, it takes orders.
            arguments: the others.
            descriptors: that it has, too.
        """
        adopt_orphans()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = python(module, str(theirs.fileno()), *arguments)
            self._process = subprocess.Popen(
                command, pass_fds=(theirs.fileno(), *descriptors), preexec_fn=_ignore_ctrl_c
            )

    def bear(self, name: str, descriptors: Sequence[int] = ()) -> Child | None:
        """Have a process forked; None where that cannot be had. Blocks while the nursery still imports.

        Args:
            name: of the process.
            descriptors: that it is given.
        """
        line, end = socket.socketpair()
        with end:
            try:
                socket.send_fds(self._orders, [name.encode()], [end.fileno(), *descriptors])
                answer = self._orders.recv(PID.size)
            except ConnectionError:
                answer = b""
        if not answer:
            line.close()
            return None
        return Child(name, PID.unpack(answer)[0], line)

    def close(self) -> None:
        """End it. What it has forked lives on."""
        self._orders.close()
        self._process.wait()


def adopt_orphans() -> None:
    """Have processes that lose their parent become children of this one, if they descend from it."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _ignore_ctrl_c() -> None:
    """It goes to all processes of a terminal, and a nursery ends with its orders; what it forks decides for itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs `main` of a module, which is found where it would be found here."""
    program = f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", program, *arguments]


def in_memory(content: bytes) -> int:
    """Descriptor of a file that is nowhere but in memory, and that other programs may be given."""
    descriptor = os.memfd_create("cellsense-told", 0)
    os.write(descriptor, content)
    return descriptor


def from_memory(descriptor: int) -> bytes:
    """What is in such a file."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
