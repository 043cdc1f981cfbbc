"""A process that forks others from itself: they share the memory of what it has imported.

It is told by orders on a socket what to fork, and ends with that socket. What it has forked belongs to whoever gives
the orders, who is to be a *subreaper*: when a process dies, its children become those of the next such one above.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from service.serving.line import Line
from service.serving.nursery import MOST_DESCRIPTORS, ORDER_BYTES, PID

_NAME = Path("/proc/self/comm")  # what `ps` and `top` call the process; the kernel keeps 15 bytes of it
_FAILED = 1  # exit status

Work = Callable[[Line], int]
"""What a child does; its exit status."""


def take_orders(orders: socket.socket, work: Callable[[str, list[int]], Work], orphaned: Callable[[], object]) -> None:
    """Fork until the other end of `orders` is closed.

    Args:
        orders: each is a name, and the child's end of its line with more descriptors for the child.
        work: what a process of that name does, with those descriptors.
        orphaned: called in a child when whoever gave the order has died, before it is told to end.
    """
    gc.collect()
    gc.freeze()  # where the collector does not write to it: children share it for good
    while True:
        name, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES, MOST_DESCRIPTORS)
        if not name:
            return
        end, *others = descriptors

        def run(line: Line, name: str = name.decode(), others: list[int] = others) -> int:
            orders.close()
            return work(name, others)(line)

        with socket.socket(fileno=end) as line:
            orders.send(PID.pack(_fork_away(name.decode(), run, line, orphaned)))
        for other in others:
            os.close(other)


def fork(name: str, run: Work, end: socket.socket, orphaned: Callable[[], object] = lambda: None) -> int:
    """Start a child; answer with its process id.

    Args:
        name: of the process.
        run: what it does.
        end: its end of its line.
        orphaned: see `take_orders`.
    """
    with warnings.catch_warnings():
        # From Python 3.12 on, a fork beside threads warns. Those that there are belong to numerical libraries,
        # which end them at a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    status = _FAILED
    try:
        status = _live(name, run, end, orphaned)
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else _FAILED
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _fork_away(name: str, run: Work, end: socket.socket, orphaned: Callable[[], object]) -> int:
    """Fork by way of a process that ends at once, so that the child belongs to the next subreaper."""
    told, tell = os.pipe()

    def live(line: Line) -> int:
        os.close(tell)
        return run(line)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as above
        between = os.fork()
    if between == 0:
        try:
            os.close(told)
            os.write(tell, PID.pack(fork(name, live, end, orphaned)))
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        (pid,) = PID.unpack(pipe.read(PID.size))
    os.waitpid(between, 0)
    return int(pid)


def _live(name: str, run: Work, end: socket.socket, orphaned: Callable[[], object]) -> int:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        _NAME.write_text(name)
    line = Line(end)
    threading.Thread(target=_end_with_the_other, args=(line, orphaned), daemon=True, name="line").start()
    return run(line)


def _end_with_the_other(line: Line, orphaned: Callable[[], object]) -> None:
    line.wait_for_end()
    orphaned()
    os.kill(os.getpid(), signal.SIGTERM)
