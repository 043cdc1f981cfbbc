"""Host memory that inputs are put together in before they go to a device."""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort
import structlog
from numpy.typing import NDArray

from service.contract.tensors import TensorSpec
from service.engine.alignment import aligned_size
from service.engine.protocol import Inputs

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Staging:
    """One block of memory with room for the largest inputs of a graph. For one run at a time.

    Attributes:
        pinned: whether the device reads it without the driver's copying it first.
    """

    def __init__(self, specs: Sequence[TensorSpec], largest: Mapping[str, int], pin: bool) -> None:
        """Allocate it.

        Args:
            specs: inputs of the graph.
            largest: size of each free dimension.
            pin: whether to pin the block for CUDA. Where that fails copies are slower, and it is logged.
        """
        shapes = {spec.name: [largest[d] if isinstance(d, str) else d for d in spec.shape] for spec in specs}
        sizes = {spec.name: int(np.prod(shapes[spec.name])) * np.dtype(spec.dtype).itemsize for spec in specs}
        block = np.frombuffer(mmap.mmap(-1, max(1, sum(map(aligned_size, sizes.values())))), np.uint8)
        self.pinned = pin and _pin(block)
        self._specs = tuple(specs)
        self._arrays: dict[str, NDArray[np.generic]] = {}
        start = 0
        for spec in specs:
            end = start + sizes[spec.name]
            self._arrays[spec.name] = block[start:end].view(spec.dtype).reshape(shapes[spec.name])
            start = aligned_size(end)

    def fill(self, inputs: Inputs, sizes: Mapping[str, int]) -> dict[str, NDArray[np.generic]]:
        """Copy inputs, extended as by `pad_rows`; the answer lies in this memory, and is gone with the next."""
        filled: dict[str, NDArray[np.generic]] = {}
        for spec in self._specs:
            array, rows = inputs[spec.name], sizes[str(spec.shape[0])]
            there = self._arrays[spec.name][:rows]
            there[: len(array)] = array
            there[len(array) :] = array[:1]
            filled[spec.name] = there
        return filled


def _pin(block: NDArray[np.uint8]) -> bool:
    """Pin memory for CUDA until it is freed; whether that could be done."""
    major = str(ort.cuda_version).partition(".")[0]
    try:
        cuda = ctypes.CDLL(f"libcudart.so.{major}")  # the one that ONNX Runtime has loaded
    except OSError as error:
        log.warning("Memory is not pinned: copies to the device are slower", reason=str(error))
        return False
    address = ctypes.c_void_p(block.ctypes.data)
    if status := cuda.cudaHostRegister(address, ctypes.c_size_t(block.nbytes), 0):
        log.warning("Memory is not pinned: copies to the device are slower", reason=f"cudaHostRegister gave {status}")
        return False
    weakref.finalize(block, cuda.cudaHostUnregister, address)
    return True
