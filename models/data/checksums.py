"""SHA-256 of the files of a set, in the form that `sha256sum --check SHA256SUMS` reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from models.data.shards import replace_file

NAME = "SHA256SUMS"
_CHANGES = "set.json"  # with the provenance of every build


def write_sums(folder: Path, fresh: Mapping[str, str]) -> None:
    """Bring the sums up to date: with those of files just written, and of files that have none yet."""
    known = {**_read(folder), **fresh}
    known.pop(_CHANGES, None)
    sums = {path.name: known.get(path.name) or _sum_of(path) for path in _files(folder)}
    replace_file(folder / NAME, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode())


def wrong_sums(folder: Path) -> list[str]:
    """What is wrong with the files of a set, a line each; empty where all are as they were written."""
    known, files = _read(folder), {path.name: path for path in _files(folder)}
    wrong = [f"{name}: expected this file, got none" for name in sorted(known.keys() - files.keys())]
    wrong += [f"{name}: expected a line in {NAME}, got none" for name in sorted(files.keys() - known.keys())]
    for name in sorted(known.keys() & files.keys()):
        if (found := _sum_of(files[name])) != known[name]:
            wrong.append(f"{name}: expected SHA-256 {known[name]}, got {found}")
    return wrong


def sum_of(data: bytes) -> str:
    """Hex digits."""
    return hashlib.sha256(data).hexdigest()


def _files(folder: Path) -> list[Path]:
    return [folder / _CHANGES, *folder.glob("*.safetensors")]


def _read(folder: Path) -> dict[str, str]:
    path = folder / NAME
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: digits for digits, name in (line.split("  ", 1) for line in lines)}


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
