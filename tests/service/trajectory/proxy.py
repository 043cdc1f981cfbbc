"""A proxy in front of a Unix socket that counts round trips and causes the faults of networks."""

from __future__ import annotations

import asyncio
from pathlib import Path

QUIET_S = 0.02  # a client that sends nothing for so long waits for an answer


class Proxy:
    """Answers travel only when the client has become quiet, so a pipeline of any size is one round trip."""

    def __init__(self, upstream: str, folder: Path) -> None:
        self.round_trips = 0
        self.silent = False  # answers are swallowed
        self._upstream = upstream
        self._path = folder / "proxy.sock"
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self) -> None:
        """Refuse new connections and cut those there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Close every connection, as a restarting server does."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_reader, up_writer = await asyncio.open_unix_connection(self._upstream.removeprefix("unix://"))
        self._writers += [writer, up_writer]
        try:
            while request := await reader.read(1 << 20):
                while request:
                    up_writer.write(request)
                    request = await _read_until_quiet(reader)
                self.round_trips += 1
                while reply := await _read_until_quiet(up_reader):
                    if not self.silent:
                        writer.write(reply)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            up_writer.close()


async def _read_until_quiet(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(QUIET_S):
            return await reader.read(1 << 20)
    except TimeoutError:
        return b""
