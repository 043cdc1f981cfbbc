from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from service.serving.memory import keep_freed_memory

_FAULTS = """
import resource, sys
from service.serving.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def requests(count):
    for _ in range(count):
        [bytearray(300_000) for _ in range(10)]
requests(20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
requests(50)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
_SCATTERED = """
import asyncio
from pathlib import Path
from service.serving import memory
assert memory.keep_freed_memory()
memory.PERIOD_S = 0.1
def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
async def main():
    blocks = [bytearray(30_000) for _ in range(1500)]
    kept = blocks[::50]  # so that what is free is not all at the end
    blocks.clear()
    before = resident_mib()
    async with memory.given_back():
        await asyncio.sleep(1)
    print(before - resident_mib())
asyncio.run(main())
"""
_HEAPS = """
import ctypes, os, sys, tempfile, threading
from service.serving.memory import keep_freed_memory
if sys.argv[1] == "one":
    assert keep_freed_memory()
together = threading.Barrier(4)
def allocate():
    together.wait()
    bytearray(100_000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(library.fopen(file.name.encode(), b"w"))
    library.malloc_info(0, stream)
    library.fclose(stream)
    print(file.read().count(b"<heap "))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_a_request_frees_the_next_one_gets_without_page_faults() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, check=True).stdout)
        for how in ("given back", "kept")
    }
    assert faults["given back"] > 50 * 10 * 50  # 300,000 bytes are 74 pages
    assert faults["kept"] < 500


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_is_free_between_what_is_used_is_given_back_in_time() -> None:
    done = subprocess.run([sys.executable, "-c", _SCATTERED], capture_output=True, check=True)
    assert float(done.stdout) > 30  # of 43 MiB


@pytest.mark.skipif(platform.libc_ver()[0] == "glibc", reason="the C library is glibc")
def test_other_c_libraries_are_left_alone() -> None:
    assert not keep_freed_memory()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_threads_share_one_heap() -> None:
    heaps = {
        how: int(subprocess.run([sys.executable, "-c", _HEAPS, how], capture_output=True, check=True).stdout)
        for how in ("many", "one")
    }
    assert heaps["many"] > 1
    assert heaps["one"] == 1
