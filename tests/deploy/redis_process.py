"""A Redis that can be stopped and started again at the same address."""

from __future__ import annotations

import subprocess
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from service.trajectory.embedded import _server_binary
from tests.deploy.prometheus_process import wait_until

TIMEOUT_S = 10.0


class RedisProcess:
    """The server that comes with the service, on a TCP port, without persistence."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"redis://127.0.0.1:{port}"
        self._command = [_server_binary(), "--port", str(port), "--save", "", "--dir", str(folder)]
        self._log = folder / "redis.log"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        with Redis.from_url(self.url) as client:
            wait_until(lambda: _answers(client), TIMEOUT_S, self._log.read_text)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(TIMEOUT_S)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False
