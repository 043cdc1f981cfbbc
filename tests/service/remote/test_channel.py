from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import msgspec
import pytest

from service.remote.channel import Channel
from tests.service.remote.pair import until

Words = Channel[str, str]


class End:
    """One end of a connection, and what it has heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.lost = 0
        self.channel: Words = Channel(str, self.heard.append, self._lose)

    def _lose(self) -> None:
        self.lost += 1


async def connected(end: End, sock: socket.socket) -> End:
    sock.setblocking(False)
    await asyncio.get_running_loop().create_unix_connection(lambda: end.channel, sock=sock)
    return end


@pytest.fixture
async def raw() -> AsyncIterator[tuple[End, socket.socket]]:
    """An end, and the bare socket at the other one."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    end = await connected(End(), ours)
    yield end, theirs
    end.channel.close()
    theirs.close()
    await until(lambda: end.lost)


async def test_what_is_said_in_one_turn_goes_out_in_one_piece(raw: tuple[End, socket.socket]) -> None:
    end, other = raw
    end.channel.send("one")
    end.channel.send("two")
    content = await asyncio.get_running_loop().sock_recv(other, 1000)
    length = struct.unpack("<I", content[:4])[0]
    assert (length, msgspec.msgpack.decode(content[4:])) == (len(content) - 4, ["one", "two"])


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
async def test_frames_are_read_however_they_are_cut(raw: tuple[End, socket.socket], piece: int) -> None:
    end, other = raw
    said = [["a"], ["bc", "d" * 50], [], ["e"]]
    content = b"".join(struct.pack("<I", len(f)) + f for f in map(msgspec.msgpack.encode, said))
    for start in range(0, len(content), piece):
        await asyncio.get_running_loop().sock_sendall(other, content[start : start + piece])
        await asyncio.sleep(0)
    await until(lambda: len(end.heard) == 4)
    assert end.heard == ["a", "bc", "d" * 50, "e"]


@pytest.mark.parametrize("content", [b"\x02\0\0\0\x91\x05", b"\x01\0\0\0\xc1"], ids=["a number", "no MessagePack"])
async def test_what_does_not_fit_ends_the_connection(raw: tuple[End, socket.socket], content: bytes) -> None:
    end, other = raw
    await asyncio.get_running_loop().sock_sendall(other, content)
    await until(lambda: end.lost)
    assert end.heard == []
    end.channel.send("to nobody")  # harmless


async def test_what_was_said_before_the_end_is_heard() -> None:
    ours, theirs = socket.socketpair()
    here, there = await connected(End(), ours), await connected(End(), theirs)
    here.channel.send("farewell")
    here.channel.close()
    await until(lambda: there.lost)
    assert there.heard == ["farewell"]
