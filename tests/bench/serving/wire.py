"""What all ways to ask a server have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.bench.serving.frames import Arrays
from tests.bench.serving.load import Load


@dataclass(frozen=True)
class Request:
    """What a client posts, again and again."""

    path: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class Wire(Protocol):
    """A protocol between clients and a server. Where a server breaks it, `ValueError` or `OSError` is raised."""

    def require(self) -> None:
        """Raises `RuntimeError` that says what to install where something is missing here."""
        ...

    def request(self, model: str, frames: Arrays) -> Request:
        """The request that asks for these frames."""
        ...

    def parse(self, answer: Answer) -> Arrays:
        """Outputs by name."""
        ...

    def post(self, port: int, request: Request) -> Answer:
        """Ask once."""
        ...

    def load(self, port: int, request: Request, answer: Answer, clients: int, seconds: float, scratch: Path) -> Load:
        """Ask as fast as so many clients can, each waiting for the answer before it asks again.

        Args:
            answer: a right one, whose length tells a generator without an eye for errors which answers are none.
            scratch: folder for the generator's files.
        """
        ...
