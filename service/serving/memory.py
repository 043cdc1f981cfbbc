"""How the C library gives memory back: seldom, for what a request frees the next one needs.

By default glibc returns memory to the kernel as soon as 128 KiB at the end of its heap are free, and maps larger blocks
one by one. A request of a few hundred kilobytes then costs more in page faults than in anything else: measured on an
echo of 68 KB bodies, 94 µs of processor time a request became 52.

What it keeps it keeps scattered, and more of it whenever requests that need much happen to meet: over ten minutes under
load the heap's used part stayed the same and the heap grew on. So all that is free is given back now and then.

By default it also gives threads heaps of their own, up to eight a core, each of which keeps what it once needed. Here
one thread at a time holds the interpreter's lock, so that they hardly ever wait for each other at one heap.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.engine.memory import return_freed_memory

MIB = 1 << 20
PERIOD_S = 10.0
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8  # malloc.h
_SETTINGS = {_ARENA_MAX: 1, _TRIM_THRESHOLD: 64 * MIB, _TOP_PAD: 1 * MIB, _MMAP_THRESHOLD: 32 * MIB}


def keep_freed_memory() -> bool:
    """Let the C library keep up to 64 MiB that is free, in one heap; whether it could be told so: glibc alone can.

    Call it before there are threads: those that have a heap keep it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all(mallopt(option, value) == 1 for option, value in _SETTINGS.items())


@asynccontextmanager
async def given_back() -> AsyncIterator[None]:
    """Give back what is free every `PERIOD_S`: some milliseconds in a thread, while who allocates much has to wait."""
    giving = asyncio.create_task(_give_back())
    try:
        yield
    finally:
        giving.cancel()


async def _give_back() -> None:
    while True:
        await asyncio.sleep(PERIOD_S)
        await asyncio.to_thread(return_freed_memory)
