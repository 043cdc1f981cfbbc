"""An image in use: commands in its root as a container would run them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.docker.chroot import run_in_root
from tests.docker.image_builder import Image

COMMAND_TIMEOUT_S = 60.0


class Container:
    """Runs commands with the image's user, folder and environment, on a read-only root with a fresh `/tmp`."""

    def __init__(self, image: Image, log: Path, **environment: str) -> None:
        self.image, self.log = image, log
        self._environment: Mapping[str, str] = {**image.environment, **environment}

    def run(self, *command: str) -> tuple[int, str]:
        """Status and output of a command that ends by itself."""
        before = self.log.stat().st_size if self.log.exists() else 0
        status = self._start(command).wait(COMMAND_TIMEOUT_S)
        return status, self.log.read_bytes()[before:].decode()

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """What the image starts by itself; killed in the end, unless it has ended before."""
        process = self._start(self.image.start)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        image = self.image
        with self.log.open("ab") as output:
            return run_in_root(
                image.root, command, self._environment, image.workdir, image.user, output, read_only=True
            )
