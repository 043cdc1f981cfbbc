"""Connections shared out evenly among the gateways behind one port.

All of them listen on one socket. Left to themselves, whoever wakes first takes all that waits there: of 32 connections
that a controller opens at once, one of two gateways took nine in ten, and kept them. Here a gateway takes a connection
only where no other has fewer, as Envoy's `exact_balance` does. What nobody has taken after `PATIENCE_S`, because who
has the fewest is busy or has died, anybody takes.
"""

from __future__ import annotations

import asyncio
import mmap
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

PATIENCE_S = 0.002
PAUSE_S = 1.0  # where the system has no more descriptors: as long as asyncio waits then
_SEATS = 1024

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Shares:
    """How many connections each gateway has: a number each, in a file that all of them have mapped."""

    def __init__(self, folder: Path, seat: int) -> None:
        """Take part, with none, from the first `tell` on.

        Args:
            folder: that the gateways share.
            seat: number of this one: see `service.metrics.shared.Seat`.
        """
        with (folder / "connections").open("a+b") as file:
            file.truncate(4 * _SEATS)
            self._map = mmap.mmap(file.fileno(), 4 * _SEATS)
        self._counts = memoryview(self._map).cast("I")  # one more than there are: 0 takes none
        self._seat = seat
        self._counts[seat] = 0  # not what a process has left there that is no more

    def tell(self, connections: int) -> None:
        """So many are here."""
        self._counts[self._seat] = connections + 1

    def leave(self) -> None:
        """None is taken here any more."""
        self._counts[self._seat] = 0

    @property
    def fewest(self) -> bool:
        """Whether no other gateway that takes connections has fewer."""
        return self._counts[self._seat] <= min(filter(None, self._counts), default=0)


class Connections(set[Any]):
    """Those of a server, which tells whenever one comes or goes."""

    def __init__(self, changed: Callable[[], object]) -> None:
        super().__init__()
        self._changed = changed

    def add(self, connection: Any) -> None:
        """See `set.add`."""
        super().add(connection)
        self._changed()

    def discard(self, connection: Any) -> None:
        """See `set.discard`."""
        super().discard(connection)
        self._changed()


class Acceptor:
    """Takes connections from a socket on which other processes listen, too. Belongs to one event loop.

    Attributes:
        connections: that are served; kept by those who serve them.
    """

    def __init__(self, port: socket.socket, shares: Shares, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        """Nothing is taken before `open`.

        Args:
            port: bound; closed by `close`, which ends nothing for the others that have it.
            shares: of this gateway and the others.
            protocol: makes what serves a connection.
        """
        self.connections = Connections(self._count)
        self._port, self._shares, self._protocol = port, shares, protocol
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None  # while the socket is not watched
        self._coming: set[asyncio.Task[None]] = set()
        self._closed = False
        port.setblocking(False)

    def open(self, backlog: int) -> None:
        """Take connections from now on; so many may wait."""
        self._count()
        self._port.listen(backlog)
        self._loop.add_reader(self._port, self._knocked)

    def close(self) -> None:
        """Take no more."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._port)
        self._port.close()
        self._shares.leave()

    def _knocked(self) -> None:
        if self._shares.fewest:
            self._take()
        else:
            self._later(PATIENCE_S, self._take_what_is_left)

    def _take_what_is_left(self) -> None:
        self._watch()
        self._take()

    def _take(self) -> None:
        """Take one, if there still is one: whose the next is, is seen anew."""
        try:
            connection, _ = self._port.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another has taken it, or the client has gone
        except OSError as error:
            log.error("No connection can be taken", error=str(error), pause_s=PAUSE_S)
            self._later(PAUSE_S, self._watch)
            return
        coming = self._loop.create_task(self._serve(connection))
        self._coming.add(coming)
        coming.add_done_callback(self._came)
        self._count()

    async def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it has gone
            connection.close()

    def _came(self, coming: asyncio.Task[None]) -> None:
        self._coming.discard(coming)
        self._count()

    def _count(self) -> None:
        if not self._closed:
            self._shares.tell(len(self.connections) + len(self._coming))

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self._loop.remove_reader(self._port)
        self._again = self._loop.call_later(seconds, do)

    def _watch(self) -> None:
        self._again = None
        self._loop.add_reader(self._port, self._knocked)
