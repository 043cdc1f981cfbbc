"""Metrics that several processes count together, in files of one folder.

Every process holds a seat: a number whose lock it keeps until it ends, however it ends. Its files carry the number, so
the process that takes the seat next goes on where the counters of the last one stopped: a killed process loses no count
and leaves no file behind. Gauges of a seat that nobody holds tell of nothing, and are removed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Self, get_args

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from service.metrics.families import Across

_KINDS = ("counter", "histogram", *(f"gauge_{across}" for across in get_args(Across)))
_FILE_BYTES = 1 << 16  # it grows by itself


class Seat:
    """One process's place among those that share a folder. Made by `take`."""

    def __init__(self, folder: Path, number: int, lock: IO[bytes], inherited: bool) -> None:
        self.folder = folder
        self.number = number
        self.inherited = inherited
        """Whether a process that ended held this seat before."""
        self._lock = lock

    @classmethod
    def take(cls, folder: Path) -> Self:
        """The first free seat. From now on, what this process declares is counted in the folder's files."""
        with _undisturbed(folder):
            number, lock = next((n, lock) for n in count() if (lock := _lock(folder, n)) is not None)
            inherited = any(folder.glob(f"*_{number}.db"))
            mark_process_dead(number, str(folder))
            for kind in _KINDS:
                _make_file(folder / f"{kind}_{number}.db")
        # Configuration comes from the settings, but this library reads its folder nowhere else than here.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # noqa: TID251
        values.ValueClass = values.MultiProcessValue(lambda: number)
        return cls(folder, number, lock, inherited)

    def collect(self) -> CollectorRegistry:
        """What all processes have counted together."""
        with _undisturbed(self.folder):
            for path in self.folder.glob("*.lock"):
                number = int(path.stem)
                if number != self.number and (lock := _lock(self.folder, number)) is not None:
                    with lock:  # closing it frees the seat again
                        mark_process_dead(number, str(self.folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self.folder))
        return registry


def _make_file(path: Path) -> None:
    """An empty file of metrics, if there is none yet, which appears at once at its full size.

    The library makes its files bit by bit, and fails to read one that another process has just begun.
    """
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(bytes(_FILE_BYTES))
        unfinished.rename(path)


@contextmanager
def _undisturbed(folder: Path) -> Iterator[None]:
    """Nobody else takes a seat meanwhile, nor clears one that is free: that would look taken for a moment."""
    with (folder / "seats").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock(folder: Path, number: int) -> IO[bytes] | None:
    """The lock of a seat, None where a process holds it."""
    file = (folder / f"{number}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
