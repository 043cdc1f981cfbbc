"""Where the graphs on this CPU keep what they compute: in one arena for all of them.

By default ONNX Runtime makes an arena for every session, which keeps what the largest run of that session needed, and
doubles where it is too small. The graphs of a frame run one after the other, so most of it waits for nothing.
"""

from __future__ import annotations

from functools import cache

import onnxruntime as ort

USE = ("session.use_env_allocators", "1")
"""The entry of a session's configuration that has it use the arena, once that is there."""


@cache
def make_arena() -> None:
    """Have ONNX Runtime make the arena of this process, unless there is one."""
    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    no_limit, default = 0, -1
    ort.create_and_register_allocator(place, ort.OrtArenaCfg(no_limit, default, default, default))
