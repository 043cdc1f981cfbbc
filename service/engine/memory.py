"""Memory that the C library has and nobody uses."""

from __future__ import annotations

import ctypes


def return_freed_memory() -> bool:
    """Give what was freed back to the kernel; whether the C library can, which is so for glibc alone."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return False
    trim(0)
    return True
