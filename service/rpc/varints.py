"""Whole numbers as protocol buffers write them: seven bits a byte, the lowest first.

Source: protobuf.dev, "Encoding", "Base 128 Varints".
"""

from __future__ import annotations

_LONGEST = 10  # bytes


def varint(number: int) -> bytes:
    """A number of 0 or more."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """The number that begins there, and where it ends. Raises `ValueError` where there is none."""
    number = 0
    for place, byte in enumerate(data[start : start + _LONGEST]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, start + place + 1
    raise ValueError(f"expected a varint at byte {start}")
