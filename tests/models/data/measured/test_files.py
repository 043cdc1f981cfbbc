from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.data.measured.files import BadFile, read_arrays, read_image

EXPECTED: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "x": ("float32", ("samples", 3)),
    "y": ("str", ("samples",)),
}


def _save(path: Path, **changed: NDArray[np.generic]) -> Path:
    np.savez(path, **{"x": np.ones((2, 3), np.float32), "y": np.array(["a", "bc"]), "more": np.zeros(1), **changed})
    return path


def test_named_arrays_are_read_and_others_left(tmp_path: Path) -> None:
    arrays = read_arrays(_save(tmp_path / "a.npz"), EXPECTED, "elsewhere")
    assert arrays.keys() == {"x", "y"}
    np.testing.assert_array_equal(arrays["x"], np.ones((2, 3)))
    assert arrays["y"].tolist() == ["a", "bc"]


def test_missing_file_is_told_from_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.npz: expected this file, found no such file.*elsewhere"):
        read_arrays(tmp_path / "a.npz", EXPECTED, "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"not even the folder .*none"):
        read_arrays(tmp_path / "none" / "a.npz", EXPECTED, "elsewhere")


@pytest.mark.parametrize("keep", [0, 1, 40, 300, -1])
def test_short_file_is_named_with_its_size(tmp_path: Path, keep: int) -> None:
    path = _save(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        BadFile, match=rf"a\.npz: expected a NumPy archive of x, y, got a file of {path.stat().st_size:,} bytes"
    ):
        read_arrays(path, EXPECTED, "elsewhere")


def test_flipped_byte_is_found(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.npz")
    data = bytearray(path.read_bytes())
    data[data.index(b"\x00\x00\x80\x3f") + 2] ^= 1  # within the first 1.0 of x
    path.write_bytes(bytes(data))
    with pytest.raises(BadFile, match="cannot be read"):
        read_arrays(path, EXPECTED, "elsewhere")


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04 not a zip", b"\x93NUMPY\x01\x00v\x00"])
def test_other_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(BadFile, match="cannot be read"):
        read_arrays(path, EXPECTED, "elsewhere")


def test_single_array_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(BadFile, match="cannot be read"):
        read_arrays(path, EXPECTED, "elsewhere")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.npz", y=np.array(["a", None], object))
    with pytest.raises(BadFile, match="cannot be read"):
        read_arrays(path, EXPECTED, "elsewhere")


def test_missing_array_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((2, 3), np.float32))
    with pytest.raises(BadFile, match="expected arrays x, y, got none named y"):
        read_arrays(tmp_path / "a.npz", EXPECTED, "elsewhere")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": np.ones((2, 3))}, "expected x to be float32, got float64"),
        ({"y": np.ones(2)}, "expected y to be str, got float64"),
        ({"x": np.ones((2, 4), np.float32)}, r"expected x to have shape \[samples, 3\].*got \[2, 4\]"),
        ({"x": np.ones(3, np.float32)}, r"expected x to have shape \[samples, 3\], got \[3\]"),
        ({"y": np.array(["a"])}, r"expected y to have shape \[samples\] with samples = 2, got \[1\]"),
    ],
)
def test_other_type_or_shape_is_refused(tmp_path: Path, changed: dict[str, NDArray[np.generic]], message: str) -> None:
    with pytest.raises(BadFile, match=message):
        read_arrays(_save(tmp_path / "a.npz", **changed), EXPECTED, "elsewhere")


def test_image_is_read_and_any_other_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).save(path)
    np.testing.assert_array_equal(read_image(path, "L", (3, 2), "elsewhere"), [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(BadFile, match=r"expected an image L of \(2, 3\), got L of \(3, 2\)"):
        read_image(path, "L", (2, 3), "elsewhere")
    with pytest.raises(BadFile, match="expected an image RGB"):
        read_image(path, "RGB", (3, 2), "elsewhere")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(BadFile, match=r"a\.png: expected an image L.*got a file of"):
        read_image(path, "L", (3, 2), "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"b\.png"):
        read_image(tmp_path / "b.png", "L", (3, 2), "elsewhere")
