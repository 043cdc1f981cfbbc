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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_a_request_frees_the_next_one_gets_without_page_faults() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, check=True).stdout)
        for how in ("given back", "kept")
    }
    assert faults["given back"] > 50 * 10 * 50  # 300,000 bytes are 74 pages
    assert faults["kept"] < 500


@pytest.mark.skipif(platform.libc_ver()[0] == "glibc", reason="the C library is glibc")
def test_other_c_libraries_are_left_alone() -> None:
    assert not keep_freed_memory()
