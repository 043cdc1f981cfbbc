"""What a process of several is told when it starts: as JSON, which takes no library to read."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Self


class Told(NamedTuple):
    """To the supervisor, and by it to the processes that it has made.

    Attributes:
        settings: of the service.
        port: descriptor of the socket on which gateways listen.
        door, reception: descriptors of the sockets by which gateways come to the engine, and it takes them in.
        folder: of the metrics.
    """

    settings: dict[str, Any]
    port: int
    door: int = -1
    reception: int = -1
    folder: str = ""

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """From what `to_json` gave."""
        return cls(**json.loads(content))

    def to_json(self) -> bytes:
        """For another process."""
        return json.dumps(self._asdict()).encode()
