"""Processes for a nursery in tests: what each does goes by its name."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from service.serving.forking import Work, take_orders
from service.serving.line import Line
from service.serving.nursery import from_memory


def main(arguments: Sequence[str]) -> int:
    """Take orders. Arguments: the descriptor of the socket, and a file to make where the parent has died."""
    with socket.socket(fileno=int(arguments[0])) as orders:
        take_orders(orders, _work, Path(arguments[1]).touch)
    return 0


def _work(name: str, descriptors: Sequence[int]) -> Work:
    return {"sleeper": _sleep, "interrupted": _interrupted, "raises": _raise}.get(
        name, lambda line: _tell(line, descriptors)
    )


def _sleep(line: Line) -> int:
    line.say(str(os.getppid()).encode())
    time.sleep(60)
    return 0


def _interrupted(line: Line) -> int:
    line.say(str(signal.getsignal(signal.SIGINT) == signal.SIG_DFL).encode())
    sys.exit(5)


def _raise(line: Line) -> int:
    raise RuntimeError("nothing works")


def _tell(line: Line, descriptors: Sequence[int]) -> int:
    for descriptor in descriptors:
        line.say(from_memory(descriptor))
    return 4
