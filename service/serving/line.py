"""A child's end of its line: a socket that is as good as a pulse."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from service.serving.children import LENGTH

BEAT_S = 1.0


class Line:
    """To the process that watches this one."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    async def beat(self) -> None:
        """Say that this process lives, until cancelled."""
        while True:
            self.say(b"")
            await asyncio.sleep(BEAT_S)

    def say(self, content: bytes) -> None:
        """Tell the other end something. What it does not read at once is waited for."""
        with contextlib.suppress(OSError):  # whoever watched has died, and so will this process
            self._end.sendall(LENGTH.pack(len(content)) + content)

    def wait_for_end(self) -> None:
        """Block until whoever watched has died."""
        with contextlib.suppress(OSError):
            self._end.recv(1)
