from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from service.serving import accepting
from service.serving.accepting import Acceptor, Shares

BACKLOG = 64


class Echo(asyncio.Protocol):
    """Counts itself among the connections of its acceptor, as those of a server do."""

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._acceptor.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._acceptor.connections.discard(self)


@pytest.fixture
def port() -> Iterator[socket.socket]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def acceptor_of(folder: Path, seat: int, port: socket.socket) -> Acceptor:
    """Each with a descriptor of its own, as processes have."""
    acceptor = Acceptor(port.dup(), Shares(folder, seat), lambda: Echo(acceptor))
    return acceptor


async def connect(port: socket.socket) -> asyncio.StreamWriter:
    """A connection that has been answered on."""
    reader, writer = await asyncio.open_connection(*port.getsockname())
    writer.write(b"?")
    async with asyncio.timeout(10):
        assert await reader.readexactly(1) == b"?"
    return writer


async def close(clients: Iterable[asyncio.StreamWriter]) -> None:
    for client in clients:
        client.close()
        await client.wait_closed()


async def until(true: object) -> None:
    assert callable(true)
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


async def test_connections_that_come_at_once_are_shared_out_evenly(
    tmp_path: Path, port: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "PATIENCE_S", 0.1)  # which no busy machine makes end too soon
    acceptors = [acceptor_of(tmp_path, seat, port) for seat in range(3)]
    for acceptor in acceptors:
        acceptor.open(BACKLOG)
    clients = await asyncio.gather(*(connect(port) for _ in range(30)))
    assert [len(acceptor.connections) for acceptor in acceptors] == [10, 10, 10]
    await close(clients)
    for acceptor in acceptors:
        acceptor.close()


async def test_connections_that_come_at_once_go_to_those_who_have_fewer(
    tmp_path: Path, port: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "PATIENCE_S", 0.1)
    acceptors = [acceptor_of(tmp_path, seat, port) for seat in range(3)]
    acceptors[0].open(BACKLOG)
    clients = [await connect(port) for _ in range(12)]
    for acceptor in acceptors[1:]:
        acceptor.open(BACKLOG)
    clients += await asyncio.gather(*(connect(port) for _ in range(24)))
    counts = [len(acceptor.connections) for acceptor in acceptors]
    assert sum(counts) == 36
    assert max(counts) - min(counts) <= 2  # taken in turns, they would be 20, 8 and 8
    await close(clients)
    for acceptor in acceptors:
        acceptor.close()


async def test_who_has_lost_connections_takes_the_next(tmp_path: Path, port: socket.socket) -> None:
    first, second = (acceptor_of(tmp_path, seat, port) for seat in range(2))
    first.open(BACKLOG)
    there = [await connect(port) for _ in range(4)]
    second.open(BACKLOG)
    more = [await connect(port) for _ in range(4)]
    assert (len(first.connections), len(second.connections)) == (4, 4)
    await close(there[:3])
    await until(lambda: len(first.connections) == 1)
    more += [await connect(port) for _ in range(3)]
    assert (len(first.connections), len(second.connections)) == (4, 4)
    await close([there[3], *more])
    first.close()
    second.close()


async def test_what_one_that_has_died_would_have_taken_is_taken_by_another(tmp_path: Path, port: socket.socket) -> None:
    Shares(tmp_path, 1).tell(0)  # and takes none
    living = acceptor_of(tmp_path, 0, port)
    living.open(BACKLOG)
    clients = [await connect(port) for _ in range(5)]
    assert len(living.connections) == 5
    await close(clients)
    living.close()


async def test_who_has_closed_takes_none_and_keeps_the_others_waiting_no_more(
    tmp_path: Path, port: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "PATIENCE_S", 60.0)
    gone, stays = (acceptor_of(tmp_path, seat, port) for seat in range(2))
    gone.open(BACKLOG)
    stays.open(BACKLOG)
    gone.close()
    clients = [await connect(port) for _ in range(3)]
    assert (len(gone.connections), len(stays.connections)) == (0, 3)
    await close(clients)
    stays.close()


async def test_without_descriptors_it_waits_and_then_goes_on(
    tmp_path: Path, port: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "PAUSE_S", 0.05)
    refused: list[float] = []

    class Full(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            if len(refused) < 2:
                refused.append(asyncio.get_running_loop().time())
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    full = Full(fileno=port.dup().detach())
    acceptor = Acceptor(full, Shares(tmp_path, 0), lambda: Echo(acceptor))
    acceptor.open(BACKLOG)
    client = await connect(port)
    assert len(refused) == 2
    assert refused[1] - refused[0] >= 0.05
    await close([client])
    acceptor.close()


def test_a_seat_that_is_taken_again_has_no_connections_of_the_last(tmp_path: Path) -> None:
    other, last = Shares(tmp_path, 0), Shares(tmp_path, 1)
    other.tell(5)
    last.tell(3)
    assert not other.fewest
    Shares(tmp_path, 1)
    assert other.fewest
