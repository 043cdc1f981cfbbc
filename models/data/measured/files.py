"""Reading the files of measured sets: of a bad one, its name, what was expected and what came are said."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

Arrays = dict[str, NDArray[np.generic]]
Dims = tuple[int | str, ...]


class BadFile(ValueError):
    """A file of a measured set is short, corrupt or of another layout."""


def need(path: Path, source: str) -> None:
    """Raise `FileNotFoundError` with the way out where a file is missing."""
    if path.is_file():
        return
    lacking = "no such file" if path.parent.is_dir() else f"not even the folder {path.parent}"
    raise FileNotFoundError(f"{path}: expected this file, found {lacking}; name another folder or get it from {source}")


def read_arrays(path: Path, expected: Mapping[str, tuple[str, Dims]], source: str) -> Arrays:
    """The named arrays of a NumPy archive.

    Args:
        path: of the archive.
        expected: for each array its type, `str` for text of any length, and its shape, in which a name stands for a
            size that all arrays share.
        source: where the set can be had, for the error message.

    Raises:
        FileNotFoundError: there is no such file.
        BadFile: it cannot be read, lacks an array, or holds one of another type or shape.
    """
    need(path, source)
    arrays = _unpack(path, expected)
    sizes: dict[str, int] = {}
    for name, (dtype, dims) in expected.items():
        array = arrays[name]
        if not (array.dtype.kind == "U" if dtype == "str" else array.dtype == np.dtype(dtype)):
            raise BadFile(f"{path}: expected {name} to be {dtype}, got {array.dtype}")
        fits = array.ndim == len(dims) and all(
            size == (sizes.setdefault(dim, size) if isinstance(dim, str) else dim)
            for dim, size in zip(dims, array.shape, strict=True)
        )
        if not fits:
            known = ", ".join(f"{dim} = {size}" for dim, size in sizes.items() if dim in dims)
            where = f" with {known}" if known else ""
            raise BadFile(f"{path}: expected {name} to have shape {_shape(dims)}{where}, got {_shape(array.shape)}")
    return arrays


def read_image(path: Path, mode: str, size: tuple[int, int], source: str) -> NDArray[np.uint8]:
    """The pixels of an image, uint8 `[rows, columns]` or `[rows, columns, 3]`.

    Args:
        path: of the image.
        mode: Pillow's name of its kind, `L` or `RGB`.
        size: columns and rows.
        source: where the set can be had, for the error message.

    Raises:
        FileNotFoundError: there is no such file.
        BadFile: it cannot be read, or is of another kind or size.
    """
    need(path, source)
    try:
        with Image.open(path) as image:
            if (image.mode, image.size) != (mode, size):
                raise BadFile(f"{path}: expected an image {mode} of {size}, got {image.mode} of {image.size}")
            return np.asarray(image)
    except (UnidentifiedImageError, OSError) as error:
        raise BadFile(f"{path}: expected an image {mode} of {size}, got {_bytes(path)}: {error}") from error


def _unpack(path: Path, expected: Mapping[str, tuple[str, Dims]]) -> Arrays:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if missing := [name for name in expected if name not in archive]:
                raise BadFile(f"{path}: expected arrays {', '.join(expected)}, got none named {', '.join(missing)}")
            return {name: archive[name] for name in expected}
    except BadFile:
        raise
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise BadFile(
            f"{path}: expected a NumPy archive of {', '.join(expected)}, got {_bytes(path)} that cannot be read as one "
            f"({error}); copy it anew"
        ) from error


def _bytes(path: Path) -> str:
    return f"a file of {path.stat().st_size:,} bytes"


def _shape(dims: Dims) -> str:
    return "[" + ", ".join(map(str, dims)) + "]"
