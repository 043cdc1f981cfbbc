"""Watches the processes of a service of several, and answers no request itself.

The gateways share one engine, one Redis, and one folder for their metrics. A process that dies is replaced; one that
cannot start ends them all. When this process dies, so do they. It imports little, for it is there as long as they are:
what they need is imported by a nursery, which forks them, so that they share that memory, and then ends.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from service.serving.children import Child, wait
from service.serving.names import CANNOT_START, ENGINE, GATEWAY
from service.serving.nursery import Nursery, from_memory, in_memory
from service.serving.told import Told
from service.trajectory.embedded import EMBEDDED_URL, EmbeddedRedis

PATROL_S = 1.0
RESTART_S = 1.0  # between two starts of an engine: one that dies at once shall not keep the machine busy
AFTER_DRAIN_S = 10.0  # beyond what requests in flight may take, until a process that does not end is killed
IDENTITY_BYTES = 32  # with which what an engine tells begins: of what does not change while it is served
_FAILED = 1  # exit status


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT. The argument is the descriptor of what is told; raises `BufferUnavailable`."""
    told = Told.from_json(from_memory(int(arguments[0])))
    reception, door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (reception, door):
        end.setblocking(False)
    with (
        _redis(told.settings["redis"]) as redis,
        tempfile.TemporaryDirectory(prefix="cellsense-metrics-") as folder,
    ):
        settings = {**told.settings, "redis": redis}
        told = told._replace(settings=settings, door=door.fileno(), reception=reception.fileno(), folder=folder)
        return _Supervisor(told).run()


class _Supervisor:
    """Starts the engine, then the gateways, and replaces what dies."""

    def __init__(self, told: Told) -> None:
        self._told, self._content = told, in_memory(told.to_json())
        self._nursery: Nursery | None = None
        self._engine: Child | None = None
        self._engine_at_s = -RESTART_S
        self._identity = b""
        self._served: int | None = None  # descriptor of what the engine has loaded
        self._gateways: list[Child] = []
        self._ending = False
        self._failed = False

    def run(self) -> int:
        with _signals(self._end) as wake:
            while not self._ending:
                self._patrol()
                wait(self._children(), PATROL_S, wake)
            self._stop()
        return _FAILED if self._failed else 0

    def _end(self) -> None:
        self._ending = True

    def _fail(self) -> None:
        self._ending = self._failed = True

    def _children(self) -> list[Child]:
        return [*self._gateways, *([] if self._engine is None else [self._engine])]

    def _patrol(self) -> None:
        for child in self._children():
            told = child.hear()
            if silent_s := child.kill_if_silent():
                self._log("error", "A process is silent, and is killed", child, silent_s=round(silent_s))
            if child is self._engine:
                for content in told:
                    self._learn(content)
        for child in self._children():
            if child.exit_status is not None:
                self._bury(child)
        if not self._ending:
            self._complete()

    def _complete(self) -> None:
        """Start what is missing. The nursery is needed no more once nothing is."""
        if self._engine is None and time.monotonic() - self._engine_at_s >= RESTART_S:
            self._engine_at_s = time.monotonic()
            self._engine = self._start(ENGINE)
        while not self._ending and self._served is not None and len(self._gateways) < self._told.settings["workers"]:
            if gateway := self._start(GATEWAY, self._served):
                self._gateways.append(gateway)
        if self._engine is not None and len(self._gateways) == self._told.settings["workers"]:
            self._close_nursery()

    def _learn(self, content: bytes) -> None:
        """The engine has loaded its models."""
        identity, served = content[:IDENTITY_BYTES], content[IDENTITY_BYTES:]
        if self._identity not in (b"", identity):
            self._log("warning", "The artifacts have changed since the service started: every gateway is replaced")
            for gateway in self._gateways:
                gateway.terminate()
        self._identity = identity
        if self._served is not None:
            os.close(self._served)
        self._served = in_memory(served)

    def _bury(self, child: Child) -> None:
        child.end(0)
        if child is self._engine:
            self._engine = None
        else:
            self._gateways.remove(child)
        if child.exit_status == CANNOT_START:
            self._log("error", "A process could not start: the service ends", child)
            self._fail()
        else:
            self._log("warning", "A process has ended", child, status=child.exit_status)

    def _stop(self) -> None:
        """End all of it: the gateways first, which need the engine to the last."""
        self._close_nursery()
        for gateway in self._gateways:
            gateway.terminate()
        for gateway in self._gateways:
            self._see_off(gateway, self._told.settings["drain_s"] + AFTER_DRAIN_S)
        if self._engine is not None:
            self._engine.terminate()
            self._see_off(self._engine, AFTER_DRAIN_S)

    def _see_off(self, child: Child, grace_s: float) -> None:
        if not child.end(grace_s):
            self._log("error", "A process did not end, and was killed", child)

    def _start(self, name: str, *descriptors: int) -> Child | None:
        told = self._told
        if self._nursery is None:
            inherited = (self._content, told.port, told.door, told.reception)
            self._nursery = Nursery("service.serving.template", [str(self._content)], inherited)
        child = self._nursery.bear(name, descriptors)
        if child is None and not self._ending:
            self._log("error", "Processes can no longer be started: the service ends")
            self._fail()
        return child

    def _close_nursery(self) -> None:
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            nursery.close()

    def _log(self, level: str, event: str, child: Child | None = None, **more: Any) -> None:
        """Log what hardly ever happens, by what is imported only then."""
        import structlog

        from service.telemetry.logs import configure_logs

        configure_logs(self._told.settings["log_level"], self._told.settings["log_format"])
        about = {} if child is None else {"process": child.name, "pid": child.pid}
        getattr(structlog.get_logger(), level)(event, **about, **more)


@contextmanager
def _signals(end: Callable[[], None]) -> Iterator[socket.socket]:
    """Call `end` at SIGTERM and SIGINT; a socket that then has something to read."""
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    woken.setblocking(False)
    before = {number: signal.signal(number, lambda *_: end()) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    try:
        yield wake
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        wake.close()
        woken.close()


@contextmanager
def _redis(url: str) -> Iterator[str]:
    """The URL of a server that every gateway can reach. An embedded one is started here, once for all."""
    if not url.startswith(EMBEDDED_URL):
        yield url
        return
    with EmbeddedRedis() as server:
        yield server.url
