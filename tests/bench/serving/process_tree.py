"""All the processes of a server, seen from outside: what they cost, and their end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")
MIB = 1 << 20
MARK = "BENCH_SERVER"  # variable that all processes of a server inherit, even those that leave their parent
_SAMPLE_S = 1.0
_GRACE_S = 15.0  # to end by itself
_POLL_S = 0.1


@dataclass(frozen=True)
class Memory:
    """Of all processes together. A page that some share counts for each in `rss_mib`, and once in `pss_mib`.

    `own_mib` is that part of PSS that no file backs. The rest, pages of libraries above all, depends on what else on
    the machine has the same files open.
    """

    rss_mib: float
    pss_mib: float
    own_mib: float


class ProcessTree:
    """The processes that descend from one, or that carry its mark."""

    def __init__(self, pid: int, mark: str) -> None:
        self._root, self._mark = pid, mark

    def processes(self) -> list[psutil.Process]:
        """Those that live now."""
        found: dict[int, psutil.Process] = {}
        try:
            root = psutil.Process(self._root)
            found = {process.pid: process for process in (root, *root.children(recursive=True))}
        except psutil.NoSuchProcess:
            pass
        for process in psutil.process_iter():
            if process.pid not in found and (_read(process.environ) or {}).get(MARK) == self._mark:
                found[process.pid] = process
        return [p for p in found.values() if _read(p.status) not in (None, psutil.STATUS_ZOMBIE)]

    def cpu_s(self) -> float:
        """Processor time so far, user and system, those that have ended included."""
        times = [time for p in self.processes() if (time := _read(p.cpu_times))]
        return float(sum(t.user + t.system + t.children_user + t.children_system for t in times))

    def memory(self) -> Memory:
        """What they hold now."""
        return together(self.memory_of_each())

    def memory_of_each(self) -> dict[str, Memory]:
        """What each holds now, by its number and what was called."""
        found = {}
        for process in self.processes():
            if memory := _read(_memory, process.pid):
                found[f"{process.pid} {_called(_read(process.cmdline) or [])}"] = memory
        return found

    def stop(self) -> None:
        """Ask the first to end, which knows how to end the others; then those others; then end what is left."""
        deadline = time.monotonic() + _GRACE_S
        asked: set[int] = set()
        while (left := self.processes()) and time.monotonic() < deadline:
            for process in [p for p in left if p.pid == self._root] or left:
                if process.pid not in asked:
                    _read(process.terminate)
                    asked.add(process.pid)
            time.sleep(_POLL_S)
        for process in left:
            _read(process.kill)
        psutil.wait_procs(left, timeout=_GRACE_S)


def together(of_each: Mapping[str, Memory]) -> Memory:
    """Of all processes, from that of each."""
    return Memory(*(sum(column) for column in zip(*map(astuple, of_each.values()), strict=True)))


@contextmanager
def peak_memory(tree: ProcessTree) -> Iterator[Callable[[], Memory]]:
    """Look at the memory once a second; what is yielded says the most that was seen so far."""
    seen = [tree.memory()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_S):
            seen.append(tree.memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: Memory(*map(max, zip(*map(astuple, seen), strict=True)))
    finally:
        over.set()
        thread.join()


def _called(arguments: list[str]) -> str:
    """The command on one line, without its folder, and without the interpreter where that is Python's."""
    program, *told = " ".join(arguments).split() or [""]  # some programs put all of it in the first
    name = Path(program).name
    return " ".join(told if name.startswith("python") else [name, *told])


def _memory(pid: int) -> Memory:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    mib = {name: int(value.split()[0]) / 1024 for name, _, value in (line.partition(":") for line in lines)}
    return Memory(mib["Rss"], mib["Pss"], mib["Pss_Anon"] + mib["Pss_Shmem"])


def _read(question: Callable[..., T], *about: object) -> T | None:
    """The answer, or None where the process is gone or not ours."""
    try:
        return question(*about)
    except (psutil.Error, OSError):
        return None
