"""Memory that a gateway shares with the engine, in slots that live as long as somebody holds them.

The memory has no name in any file system: it is gone with the last process that has it mapped, however that ends.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from service.errors import Overloaded, PayloadTooLarge
from service.remote.blocks import SMALLEST_BYTES, Blocks

MIB = 1 << 20
KEPT_BYTES = 64 * MIB  # that stay in memory once touched; what a burst has touched beyond them is given back
RETRY_AFTER_S = 0.1
Array = NDArray[np.generic]


class Memory:
    """Memory as another process maps it."""

    def __init__(self, descriptor: int, capacity: int) -> None:
        """Map `capacity` bytes; the descriptor may be closed afterwards."""
        self.map = mmap.mmap(descriptor, capacity)

    def array(self, offset: int, dtype: DTypeLike, shape: Sequence[int]) -> Array:
        """A view of it. Raises `TypeError` and `ValueError` where it does not lie within."""
        if offset < 0:
            raise ValueError(f"expected an offset of 0 or more, got {offset}")
        return np.ndarray(shape, dtype, self.map, offset)

    def leave(self) -> None:
        """Unmap it as soon as no array is a view of it any more; nothing else may be done with it then."""
        del self.map


class Slot:
    """A part of a segment. Whoever made it holds it, and others may as well; the last one to `release` frees it."""

    __slots__ = ("_holders", "_order", "_segment", "end", "start")

    def __init__(self, segment: Segment, start: int, order: int) -> None:
        self._segment = segment
        self._order = order
        self._holders = 1
        self.start = start
        self.end = start + (SMALLEST_BYTES << order)

    @property
    def view(self) -> memoryview:
        """Its bytes: as many as were asked for, or more."""
        return memoryview(self._segment.map)[self.start : self.end]

    def hold(self) -> Slot:
        """Hold it once more."""
        if not self._holders:
            raise ValueError("expected a slot that is held, got one that was freed")
        self._holders += 1
        return self

    def release(self) -> None:
        """Hold it once less. What lies in a slot that nobody holds may change at any time."""
        if not self._holders:
            raise ValueError("expected a slot that is held, got one that was freed")
        self._holders -= 1
        if not self._holders:
            self._segment._free(self.start, self._order)


class Segment(Memory):
    """The memory as its owner maps it, who hands out slots of it. Belongs to one thread."""

    def __init__(self, capacity: int) -> None:
        """Make it; pages take up memory once they are written. `capacity` is rounded up to a power of two."""
        self._blocks = Blocks(capacity)
        self.capacity = self._blocks.capacity
        self.descriptor = os.memfd_create("cellsense", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, self.capacity)
        super().__init__(self.descriptor, self.capacity)
        self._address: int = np.frombuffer(self.map, np.uint8).ctypes.data
        self._slots: dict[int, Slot] = {}  # those that are held, by where they start
        self._touched = 0  # no page at or beyond it was written since it was given back

    @property
    def taken_bytes(self) -> int:
        """Bytes of all slots that are held."""
        return self._blocks.taken_bytes

    def take(self, nbytes: int) -> Slot:
        """A slot of so many bytes or more.

        Raises:
            Overloaded: there is no room beside the others.
            PayloadTooLarge: there never would be.
        """
        found = self._blocks.take(nbytes)
        if found is None:
            if nbytes > self.capacity:
                raise PayloadTooLarge("inputs", f"tensors of at most {self.capacity} bytes", f"{nbytes} bytes")
            full = f"requests of {self.taken_bytes} bytes wait for the engine, and {nbytes} more find no room"
            raise Overloaded(RETRY_AFTER_S, full, "memory")
        slot = self._slots[found[0]] = Slot(self, *found)
        self._touched = max(self._touched, slot.end)
        return slot

    def place(self, array: Array) -> int | None:
        """The offset at which an array begins, None where it does not lie in here in one piece."""
        offset: int = array.__array_interface__["data"][0] - self._address
        return offset if 0 <= offset < self.capacity and array.flags.c_contiguous else None

    def slot_at(self, offset: int) -> Slot:
        """The slot that is held around an offset. Raises `KeyError`."""
        size = SMALLEST_BYTES
        while size <= self.capacity:
            slot = self._slots.get(offset & -size)
            if slot is not None and slot.end > offset:
                return slot
            size <<= 1
        raise KeyError(offset)

    def close(self) -> None:
        """Nobody else will map it. It is unmapped with the last array that is a view of it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _free(self, start: int, order: int) -> None:
        del self._slots[start]
        self._blocks.give(start, order)
        if not self._slots and self._touched > KEPT_BYTES:
            self.map.madvise(mmap.MADV_REMOVE, KEPT_BYTES, self.capacity - KEPT_BYTES)
            self._touched = KEPT_BYTES
