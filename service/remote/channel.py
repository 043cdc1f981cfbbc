"""Messages over a stream socket: all that is said in one turn of the event loop goes out together."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import msgspec
import structlog

Said = TypeVar("Said")
Heard = TypeVar("Heard")

_LENGTH = struct.Struct("<I")
log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Channel(asyncio.Protocol, Generic[Said, Heard]):
    """One end of a connection. A frame is its length and a MessagePack list of messages.

    What does not fit ends the connection.
    """

    def __init__(self, heard: Any, received: Callable[[Heard], None], lost: Callable[[], None]) -> None:
        """Speak once connected.

        Args:
            heard: the type of what comes.
            received: called with each message.
            lost: called once, when the connection has ended.
        """
        self._decoder: msgspec.msgpack.Decoder[list[Heard]] = msgspec.msgpack.Decoder(list[heard])
        self._encoder = msgspec.msgpack.Encoder()
        self._received, self._lost = received, lost
        self._transport: asyncio.Transport | None = None
        self._outbox: list[Said] = []
        self._partial = bytearray()
        self._loop = asyncio.get_running_loop()

    def send(self, message: Said) -> None:
        """Say something at the end of this turn of the loop; nothing where nobody is connected."""
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(message)

    def close(self) -> None:
        """End the connection, once all was said."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)  # that of uvloop is none by its class

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            self._partial += data
            self._read_frames()
        except Exception:  # whatever it is, nothing that follows can be understood
            log.exception("What came from the other process does not fit: the connection is closed")
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._lost()

    def _flush(self) -> None:
        said, self._outbox = self._outbox, []
        if not said or self._transport is None:
            return
        frame = bytearray(_LENGTH.size)
        self._encoder.encode_into(said, frame, _LENGTH.size)
        _LENGTH.pack_into(frame, 0, len(frame) - _LENGTH.size)
        self._transport.write(frame)

    def _read_frames(self) -> None:
        start, held = 0, memoryview(self._partial)
        try:
            while len(held) - start >= _LENGTH.size:
                end = start + _LENGTH.size + _LENGTH.unpack_from(held, start)[0]
                if end > len(held):
                    break
                messages = self._decoder.decode(held[start + _LENGTH.size : end])
                start = end
                for message in messages:
                    self._received(message)
        finally:
            held.release()
        del self._partial[:start]
