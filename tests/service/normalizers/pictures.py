"""Camera files made for tests, and headers forged onto them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def scene(width: int = 480, height: int = 240) -> Image.Image:
    """A picture whose left half is red and whose right half is blue, darker towards the bottom."""
    pixels = np.zeros((height, width, 3), np.uint8)
    shade = np.linspace(255, 100, height).astype(np.uint8)[:, None]
    pixels[:, : width // 2, 0] = shade
    pixels[:, width // 2 :, 2] = shade
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width: int, height: int) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png_of_claimed_size(width: int, height: int) -> bytes:
    """A PNG file whose header claims a size, with a valid checksum."""
    file = encoded(scene(), "PNG")
    return file[:8] + png_header(width, height) + file[33:]


def jpeg_of_claimed_size(width: int, height: int) -> bytes:
    """A JPEG file whose frame header claims a size."""
    file = encoded(scene(), "JPEG")
    at = file.index(b"\xff\xc0") + 5
    return file[:at] + struct.pack(">HH", height, width) + file[at + 4 :]
