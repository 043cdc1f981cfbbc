"""Shards on disk: one episode a file, in safetensors.

safetensors was chosen because it is memory-mappable, holds no code (never pickles), checks its header, and is read by
NumPy, torch and others. A set is a folder of shards with a `set.json` that says how they were made; each shard repeats
the set's fingerprint, so that shards of different settings cannot be mixed.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

SCHEMA_VERSION = 1
Arrays = dict[str, NDArray[np.generic]]


class SettingsMismatch(ValueError):
    """The folder holds a set that was built with other settings."""


@dataclass(frozen=True)
class ShardSet:
    """A folder of shards.

    Attributes:
        folder: where the shards lie.
        settings: JSON-ready description of how the set is made; any change makes it another set.
    """

    folder: Path
    settings: dict[str, object]

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of the settings."""
        text = json.dumps({"schema": SCHEMA_VERSION, **self.settings}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def create(self) -> None:
        """Make the folder, or join one that was made with the same settings. Raises `SettingsMismatch`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "set.json"
        mine = {"schema": SCHEMA_VERSION, "fingerprint": self.fingerprint, "settings": self.settings}
        if path.exists():
            theirs = json.loads(path.read_text())
            if theirs != json.loads(json.dumps(mine)):
                raise SettingsMismatch(
                    f"{path}: expected a set with fingerprint {self.fingerprint}, got {theirs.get('fingerprint')}: "
                    "it was built with other settings; choose another --out or delete the folder"
                )
            return
        _replace(path, lambda temporary: temporary.write_text(json.dumps(mine, indent=2) + "\n"))

    @classmethod
    def open(cls, folder: Path) -> ShardSet:
        """Open a built set. Raises `FileNotFoundError` where there is none."""
        path = folder / "set.json"
        if not path.exists():
            raise FileNotFoundError(f"{folder}: expected a built set with a set.json, got none; run models.data.build")
        return cls(folder, json.loads(path.read_text())["settings"])

    def path(self, episode: int) -> Path:
        """Where the shard of an episode lies."""
        return self.folder / f"episode-{episode:05d}.safetensors"

    def episodes(self) -> list[int]:
        """Episodes that have been built, in order."""
        return sorted(int(p.stem.split("-")[1]) for p in self.folder.glob("episode-*.safetensors"))

    def write(self, episode: int, arrays: Arrays) -> None:
        """Write a shard; it appears whole or not at all."""
        whole = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        meta = {"fingerprint": self.fingerprint}  # one entry: several are written in random order
        _replace(self.path(episode), lambda temporary: save_file(whole, temporary, metadata=meta))

    def read(self, episode: int, names: list[str] | None = None) -> Arrays:
        """Arrays of a shard, all or those named. Raises `SettingsMismatch` for a stray shard."""
        with safe_open(self.path(episode), framework="numpy") as shard:
            if shard.metadata().get("fingerprint") != self.fingerprint:
                raise SettingsMismatch(
                    f"{self.path(episode)}: expected fingerprint {self.fingerprint}, got "
                    f"{shard.metadata().get('fingerprint')}: it belongs to another set; move it away and build again"
                )
            return {name: shard.get_tensor(name) for name in (names or list(shard.keys()))}


def ragged(parts: list[NDArray[np.generic]]) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
    """Concatenate along the first axis; offsets `[len(parts) + 1]` tell the parts apart."""
    offsets = np.cumsum([0] + [len(part) for part in parts], dtype=np.int64)
    return np.concatenate(parts), offsets


def _replace(path: Path, write: object) -> None:
    temporary = path.with_suffix(f".tmp-{os.getpid()}")
    write(temporary)
    os.replace(temporary, path)
