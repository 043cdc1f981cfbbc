"""Tensors on the wire: little-endian numbers in C order, raw or in base64, checked before and after decoding."""

from __future__ import annotations

import binascii
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.api.schemas import CsiTensor, LidarTensor, RadarTensor
from service.contract.captures import (
    CSI_ANTENNAS,
    CSI_SUBCARRIERS,
    LIDAR_COLUMNS,
    LIDAR_MAX_POINTS,
    RADAR_COLUMNS,
    RADAR_MAX_POINTS,
)
from service.errors import InvalidInput

Number = TypeVar("Number", np.float32, np.complex64)
_PARTS = np.dtype("<f4")  # of either


@dataclass(frozen=True)
class Form(Generic[Number]):
    """What a tensor must look like: its dtype, and for each dimension the least and the greatest size."""

    dtype: np.dtype[Number]
    dims: tuple[tuple[int, int], ...]

    @property
    def shape(self) -> str:
        """The shape in words."""
        return f"[{', '.join(str(low) if low == high else f'{low} to {high}' for low, high in self.dims)}]"

    @cached_property
    def on_the_wire(self) -> np.dtype[Number]:
        """The dtype in little-endian order."""
        little = self.dtype.newbyteorder("<")
        return self.dtype if self.dtype == little else little  # equal, but NumPy is fast with its own one only

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor may have this shape."""
        return len(shape) == len(self.dims) and all(
            low <= size <= high for size, (low, high) in zip(shape, self.dims, strict=True)
        )


CSI = Form(np.dtype(np.complex64), ((CSI_ANTENNAS, CSI_ANTENNAS), (CSI_SUBCARRIERS, CSI_SUBCARRIERS)))
RADAR = Form(np.dtype(np.float32), ((0, RADAR_MAX_POINTS), (RADAR_COLUMNS, RADAR_COLUMNS)))
LIDAR = Form(np.dtype(np.float32), ((0, LIDAR_MAX_POINTS), (LIDAR_COLUMNS, LIDAR_COLUMNS)))


def array(tensor: CsiTensor | RadarTensor | LidarTensor, form: Form[Number], field: str) -> NDArray[Number]:
    """The numbers of a tensor, a read-only view on the decoded bytes.

    Args:
        tensor: as it came, its dtype already checked.
        form: what is expected.
        field: path of the tensor.

    Raises:
        InvalidInput: wrong shape, base64 or byte count, or numbers that are not finite.
    """
    shape = tensor.shape
    if not form.fits(shape):
        raise InvalidInput(f"{field}.shape", form.shape, str(shape)[:64])
    size = math.prod(shape) * form.dtype.itemsize
    data = raw_bytes(tensor.data, f"{field}.data")
    if len(data) != size:
        raise InvalidInput(f"{field}.data", f"{size} bytes for {form.dtype} {shape}", f"{len(data)} bytes")
    numbers: NDArray[Number] = np.frombuffer(data, form.on_the_wire).reshape(shape)
    if not np.isfinite(np.frombuffer(data, _PARTS)).all():  # of complex numbers both parts, at a quarter of the time
        finite = np.isfinite(numbers)
        where = np.unravel_index(int(finite.argmin()), numbers.shape)
        raise InvalidInput(f"{field}.data", "finite numbers", f"{numbers[where]} at {[int(i) for i in where]}")
    return numbers


def raw_bytes(text: str | bytes, field: str) -> bytes:
    """Bytes as they are, or a text in strict base64 (RFC 4648, with padding). Raises `InvalidInput`."""
    if isinstance(text, bytes):
        return text
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # binascii.Error is one, and so is a letter that is not ASCII
        raise InvalidInput(field, "base64", f"{text[:24]!r} of {len(text)} characters ({error})") from error
