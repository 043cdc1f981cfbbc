"""Lua scripts that Redis runs atomically, each known to it by its SHA-1."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Self


@dataclass(frozen=True)
class Script:
    """A script and its digest."""

    text: str
    sha: str

    @classmethod
    def of(cls, package: str, name: str) -> Self:
        """A script that lies in a package."""
        text = files(package).joinpath(name).read_text()
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
