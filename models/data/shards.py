"""Shards on disk: one episode of one site a file, in safetensors.

safetensors was chosen because it is memory-mappable (a column is read without the rest), holds no code (never pickles),
checks its header, and is read by NumPy, torch and others. A set is a folder of shards, one ground file a site, and a
`set.json` that says how they were made. Each file repeats the set's fingerprint, so that shards of different settings
cannot be mixed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from models.data.recipe import Recipe
from models.data.schema import VERSION, Arrays, Column, SchemaError, check
from service.contract.sites import Site

GROUND: dict[str, Column] = {
    "height_m": Column("float32", ("rows", "columns"), "m", "top of what stands in each cell of 1 m, rows northwards"),
    "zone": Column("uint8", ("rows", "columns"), "", "use of each cell, see `raytraced.zones`"),
    "blocked": Column("uint8", ("rows", "columns"), "", "1 where buildings hide the ground from the mast"),
    "west_south_m": Column("float64", (2,), "m", "east and north of the first cell's south-west corner"),
}


class SettingsMismatch(ValueError):
    """The folder holds a set that was built with other settings, or by another version."""


@dataclass(frozen=True)
class ShardSet:
    """A folder of shards.

    Attributes:
        folder: where the shards lie.
        settings: JSON-ready description of how the set is made, see `recipe.settings`; any change makes it another set.
        splits: JSON-ready protocols, see `splits.describe`; stored in the set, but not part of its fingerprint.
    """

    folder: Path
    settings: dict[str, Any]
    splits: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of the schema's version and the settings."""
        text = json.dumps({"schema": VERSION, **self.settings}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def recipe(self) -> Recipe:
        """What the set is made of."""
        return Recipe.from_json(self.settings["recipe"])

    def site(self, name: str) -> Site:
        """A site of the set, as it was when the set was built."""
        return Site.from_json(dict(self.settings["layouts"][name]["site"]))

    def create(self) -> None:
        """Make the folder, or join one that was made with the same settings. Raises `SettingsMismatch`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "set.json"
        if not path.exists():
            self._describe([])
            return
        theirs = _described(self.folder)
        if theirs["fingerprint"] != self.fingerprint:
            raise SettingsMismatch(
                f"{path}: expected a set with fingerprint {self.fingerprint}, got {theirs['fingerprint']}: "
                "it was built with other settings; choose another --out or delete the folder"
            )
        if theirs["splits"] != json.loads(json.dumps(self.splits)):
            raise SettingsMismatch(
                f"{path}: expected the splits that this version makes, got others: models may have been trained on "
                "them; choose another --out, or delete this file to take the new splits (the shards stay as they are)"
            )

    @classmethod
    def open(cls, folder: Path) -> ShardSet:
        """Open a built set. Raises `FileNotFoundError` where there is none, `SettingsMismatch` if it is an old one."""
        described = _described(folder)
        return cls(folder, described["settings"], described["splits"])

    @property
    def provenance(self) -> list[dict[str, Any]]:
        """What made the shards: commits, versions and platforms, each once; see `models.data.provenance`."""
        return list(_described(self.folder)["provenance"])

    def note_provenance(self, provenance: Mapping[str, object]) -> None:
        """Remember in `set.json` what made some of the shards, unless it is there already."""
        if provenance not in self.provenance:
            self._describe([*self.provenance, dict(provenance)])

    def path(self, site: str, episode: int) -> Path:
        """Where the shard of an episode lies."""
        return self.folder / f"{site}-{episode:05d}.safetensors"

    def ground_path(self, site: str) -> Path:
        """Where the ground of a site lies."""
        return self.folder / f"ground-{site}.safetensors"

    def episodes(self, site: str) -> list[int]:
        """Episodes of a site that have been built, in order."""
        return sorted(int(p.stem[-5:]) for p in self.folder.glob(f"{site}-{'[0-9]' * 5}.safetensors"))

    def write(self, site: str, episode: int, arrays: Arrays) -> None:
        """Write a shard; it appears whole or not at all. Raises `SchemaError`."""
        replace_file(self.path(site, episode), pack_shard(arrays, self.fingerprint))

    def write_ground(self, site: str, arrays: Arrays) -> None:
        """Write the ground of a site. Raises `SchemaError`."""
        replace_file(self.ground_path(site), pack_ground(arrays, self.fingerprint))

    def read(self, site: str, episode: int, names: Iterable[str] | None = None) -> Arrays:
        """Columns of a shard, all or those named; the file is mapped, what is not named is not read.

        Raises `SettingsMismatch` for a stray shard.
        """
        return self._read(self.path(site, episode), names)

    def ground(self, site: str) -> Arrays:
        """Columns of a site's ground, see `GROUND`. Raises `SettingsMismatch` for a stray file."""
        return self._read(self.ground_path(site), None)

    def _read(self, path: Path, names: Iterable[str] | None) -> Arrays:
        with safe_open(path, framework="numpy") as file:
            found = (file.metadata() or {}).get("fingerprint")
            if found != self.fingerprint:
                raise SettingsMismatch(
                    f"{path}: expected fingerprint {self.fingerprint}, got {found}: it belongs to another set; "
                    "move it away and build again"
                )
            return {name: file.get_tensor(name) for name in (file.keys() if names is None else names)}

    def _describe(self, provenance: list[dict[str, object]]) -> None:
        text = json.dumps(
            {
                "schema": VERSION,
                "fingerprint": self.fingerprint,
                "settings": self.settings,
                "splits": self.splits,
                "provenance": provenance,
            },
            indent=1,
        )
        replace_file(self.folder / "set.json", f"{text}\n".encode())


def pack_shard(arrays: Arrays, fingerprint: str) -> bytes:
    """The file of a shard; the same arrays always give the same bytes. Raises `SchemaError`."""
    check(arrays)
    return _pack(arrays, fingerprint)


def pack_ground(arrays: Arrays, fingerprint: str) -> bytes:
    """The file of a site's ground. Raises `SchemaError`."""
    check_ground(arrays)
    return _pack(arrays, fingerprint)


def check_ground(arrays: Arrays) -> None:
    """Raises `SchemaError` where the columns of a site's ground are not those of `GROUND`."""
    for name in GROUND.keys() ^ arrays.keys():
        raise SchemaError(f"{name}: expected the columns {sorted(GROUND)} in a ground file, got {sorted(arrays)}")
    for name, column in GROUND.items():
        if arrays[name].dtype != np.dtype(column.dtype) or arrays[name].ndim != len(column.dims):
            raise SchemaError(
                f"{name}: expected {column.dtype} {column.dims}, got {arrays[name].dtype} of shape {arrays[name].shape}"
            )


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that it appears, or is replaced, whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def ragged(parts: list[NDArray[np.generic]]) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
    """Concatenate along the first axis; offsets `[len(parts) + 1]` tell the parts apart."""
    offsets = np.cumsum([0] + [len(part) for part in parts], dtype=np.int64)
    return np.concatenate(parts), offsets


def _pack(arrays: Arrays, fingerprint: str) -> bytes:
    whole = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
    return save(whole, metadata={"fingerprint": fingerprint})  # one entry: several are written in random order


def _described(folder: Path) -> dict[str, Any]:
    path = folder / "set.json"
    if not path.exists():
        raise FileNotFoundError(f"{folder}: expected a built set with a set.json, got none; run models.data.build")
    described: dict[str, Any] = json.loads(path.read_text())
    if described.get("schema") != VERSION:
        raise SettingsMismatch(
            f"{path}: expected a set of schema {VERSION}, got schema {described.get('schema')}: another "
            "version built it, and it is no longer read; build it anew with models.data.build into another folder"
        )
    return described
