"""Find an LLVM that Dr.Jit can use on this processor.

Dr.Jit compiles its kernels with the system's LLVM. LLVM 15 and 16 abort on processors with AVX-512 («Cannot select»),
so the newest library of version 17 or later is chosen before Mitsuba is imported for the first time.
"""

from __future__ import annotations

import glob
import os
import re
import sys

_PATTERNS = (
    "/usr/lib/*/libLLVM*.so*",
    "/usr/lib64/libLLVM*.so*",
    "/usr/lib/llvm-*/lib/libLLVM*.so*",
    "/opt/homebrew/opt/llvm*/lib/libLLVM*.dylib",
    "/usr/local/opt/llvm*/lib/libLLVM*.dylib",
)
_OLDEST = 17


class NoLLVM(RuntimeError):
    """No usable LLVM on this machine; the message says what to install."""


def find_llvm() -> str:
    """Path of the newest usable LLVM library. Raises `NoLLVM` where there is none."""
    if chosen := os.environ.get("DRJIT_LIBLLVM_PATH"):
        return chosen
    found = {path: _version(path) for pattern in _PATTERNS for path in glob.glob(pattern)}
    good = {path: version for path, version in found.items() if version >= _OLDEST}
    if not good:
        raise NoLLVM(
            f"ray tracing needs LLVM {_OLDEST} or newer as a shared library, found "
            f"{sorted(v for v in found.values() if v) or 'none'}. Install one (Debian: `apt-get install libllvm19`), "
            "or set DRJIT_LIBLLVM_PATH to its libLLVM file."
        )
    return max(good, key=lambda path: (good[path], path))


def use_llvm() -> None:
    """Point Dr.Jit at a usable LLVM. Call before the first import of mitsuba or sionna."""
    if sys.platform != "win32":
        os.environ["DRJIT_LIBLLVM_PATH"] = find_llvm()


def _version(path: str) -> int:
    match = re.search(r"libLLVM(?:-|\.so\.)(\d+)", path)
    return int(match.group(1)) if match else 0
