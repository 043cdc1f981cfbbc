"""Camera files to RGB pictures of the size that the networks see."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

HEIGHT = 96
WIDTH = 192
MAX_SCANS = 64  # of a progressive JPEG, about six times the usual; each costs a pass over the whole picture

_JPEG_START = b"\xff\xd8\xff"
_JPEG_SCAN = re.compile(rb"\xff\xda")  # found in half the time that counting the bytes takes
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = struct.Struct(">8s4s4sII")  # signature, length and name of the first chunk, width, height
_PNG_END = b"IEND\xaeB\x60\x82"


@dataclass(frozen=True)
class CameraLimits:
    """The largest picture that is decoded.

    Attributes:
        max_side_px: of the longer side.
        max_pixels: of the whole picture.
    """

    max_side_px: int = 8192
    max_pixels: int = 33_600_000


DEFAULT_LIMITS = CameraLimits()


def camera_rgb(files: Sequence[bytes], limits: CameraLimits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """The pictures of a batch of camera files.

    Args:
        files: a JPEG or PNG file each, see `decode_camera`.
        limits: the largest picture that is decoded.

    Returns:
        uint8 `[S, 3, 96, 192]` (capture, rgb, row from the top, column from the left).

    Raises:
        ValueError: a file does not fit; use `decode_camera` on each to know which.
    """
    pictures = np.empty((len(files), 3, HEIGHT, WIDTH), np.uint8)
    for row, file in enumerate(files):
        pictures[row] = decode_camera(file, limits)
    return pictures


def decode_camera(file: bytes, limits: CameraLimits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """The picture of one camera file, stretched to 2:1 whatever its own aspect.

    Grey, palette, CMYK and 16-bit pictures become 8-bit RGB; transparency and an EXIF orientation are ignored. A large
    JPEG is scaled down while it is decoded.

    Args:
        file: a JPEG or PNG file.
        limits: the largest picture that is decoded.

    Returns:
        uint8 `[3, 96, 192]` (rgb, row from the top, column from the left).

    Raises:
        ValueError: `expected ..., got ...`: not a JPEG or PNG image, over the limits, truncated, corrupt, or animated.
    """
    camera_check(file, limits)
    kind, decode = ("JPEG", _decode_jpeg) if file.startswith(_JPEG_START) else ("PNG", _decode_png)
    try:
        picture = decode(file)
    except Exception as error:  # the decoders raise errors of many types on hostile files
        raise ValueError(f"expected a complete {kind} image, got {_reason(error)}") from error
    resized = picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, reducing_gap=3.0)
    planes = b"".join([plane.tobytes() for plane in resized.split()])
    return np.frombuffer(planes, np.uint8).reshape(3, HEIGHT, WIDTH)


def camera_check(file: bytes, limits: CameraLimits = DEFAULT_LIMITS) -> None:
    """Refuse by its header alone a file that must not be decoded.

    Args:
        file: the candidate.
        limits: the largest picture that is decoded.

    Raises:
        ValueError: `expected ..., got ...`: not a JPEG or PNG image, or over the limits.
    """
    if file.startswith(_JPEG_START):
        height, width = _jpeg_size(file)
        if (scans := len(_JPEG_SCAN.findall(file))) > MAX_SCANS:
            raise ValueError(f"expected a JPEG image of at most {MAX_SCANS} scans, got {scans}")
    elif file.startswith(_PNG_START):
        height, width = _png_size(file)
    else:
        got = f"{len(file)} bytes starting with {file[:8].hex(' ')}" if file else "0 bytes"
        raise ValueError(f"expected a JPEG or PNG image, got {got}")
    if max(height, width) > limits.max_side_px or height * width > limits.max_pixels or min(height, width) < 1:
        raise ValueError(
            f"expected an image of 1 to {limits.max_side_px} px a side and at most {limits.max_pixels} px in all, "
            f"got {width} x {height} px"
        )


def _jpeg_size(file: bytes) -> tuple[int, int]:
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(file)
    except Exception as error:  # as above
        raise ValueError(f"expected a JPEG image with a whole header, got {_reason(error)}") from error
    return height, width


def _png_size(file: bytes) -> tuple[int, int]:
    if len(file) < _PNG_HEADER.size:
        raise ValueError(f"expected a PNG image with a whole header, got {len(file)} bytes")
    _, _, name, width, height = _PNG_HEADER.unpack_from(file)
    if name != b"IHDR":
        raise ValueError(f"expected a PNG image that starts with a header, got a chunk named {name!r}")
    return height, width


def _decode_jpeg(file: bytes) -> Image.Image:
    # Strict: without it the rest of a truncated file is grey.
    return Image.fromarray(simplejpeg.decode_jpeg(file, "RGB", min_height=HEIGHT, min_width=WIDTH, strict=True))


def _decode_png(file: bytes) -> Image.Image:
    if _PNG_END not in file:
        raise ValueError("a file without an end")  # the decoder takes a file that ends within its last chunks
    with Image.open(io.BytesIO(file), formats=["PNG"]) as image:
        image.verify()  # the checksums, which loading does not look at
    with Image.open(io.BytesIO(file), formats=["PNG"]) as image:
        if image.size != _png_size(file)[::-1]:
            raise ValueError(f"a second header of {image.width} x {image.height} px")
        if getattr(image, "is_animated", False):
            raise ValueError("an animation")
        if image.mode.startswith("I"):  # 16-bit grey, which the conversion to RGB would clip
            return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
        return image.convert("RGB")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
