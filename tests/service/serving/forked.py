"""A child of this process, without a nursery."""

from __future__ import annotations

import socket
from collections.abc import Callable

from service.serving.children import Child
from service.serving.forking import Work, fork


def forked(name: str, run: Work, orphaned: Callable[[], object] = lambda: None) -> Child:
    """Fork it; its end of the line is the only one that it keeps."""
    line, end = socket.socketpair()

    def live(its: object) -> int:
        line.close()
        return run(its)  # type: ignore[arg-type]

    with end:
        return Child(name, fork(name, live, end, orphaned), line)
