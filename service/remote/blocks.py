"""Which parts of a segment are free: blocks of powers of two, split in halves and put together again.

A buddy system (Knowlton 1965) that merges late: a block that is given back is most often wanted again in the same size,
so halves are put together only once something does not fit. Of the free blocks of a size the one given back last is
taken, whose pages are in memory and in the caches already.
"""

from __future__ import annotations

SMALLEST_BYTES = 4096  # a page


class Blocks:
    """Free and taken blocks of a range of bytes. Knows their offsets, not their content."""

    def __init__(self, capacity: int) -> None:
        """All is free. `capacity` is rounded up to a power of two."""
        self._top = order_of(capacity)
        self.capacity = SMALLEST_BYTES << self._top
        self.taken_bytes = 0
        self._free: list[list[int]] = [[] for _ in range(self._top + 1)]
        self._free[self._top].append(0)
        self._worth_merging = False

    def take(self, nbytes: int) -> tuple[int, int] | None:
        """Offset and order of a block for so many bytes, None where none is free."""
        order = order_of(nbytes)
        if order > self._top:
            return None
        offset = self._split_to(order)
        if offset is None and self._worth_merging:
            self._merge()
            offset = self._split_to(order)
        if offset is None:
            return None
        self.taken_bytes += SMALLEST_BYTES << order
        return offset, order

    def give(self, offset: int, order: int) -> None:
        """A block that was taken is free again."""
        self._free[order].append(offset)
        self._worth_merging = True
        self.taken_bytes -= SMALLEST_BYTES << order

    def _split_to(self, order: int) -> int | None:
        """A free block of that order, from a larger one if need be."""
        free = self._free
        if free[order]:
            return free[order].pop()
        larger = next((each for each in range(order + 1, self._top + 1) if free[each]), None)
        if larger is None:
            return None
        offset = free[larger].pop()
        for each in range(larger - 1, order - 1, -1):
            free[each].append(offset + (SMALLEST_BYTES << each))  # the lower half is split on: low pages are used most
        return offset

    def _merge(self) -> None:
        """Put halves together whose other half is free too."""
        for order in range(self._top):
            size = SMALLEST_BYTES << order
            free = set(self._free[order])
            whole = [offset for offset in free if not offset & size and offset | size in free]
            free.difference_update(whole, [offset | size for offset in whole])
            self._free[order] = sorted(free, reverse=True)  # the lowest is taken first
            self._free[order + 1].extend(whole)
        self._worth_merging = False


def order_of(nbytes: int) -> int:
    """The order of the smallest block that holds so many bytes: 0 for a page, 1 for two."""
    return max(0, (nbytes - 1).bit_length() - SMALLEST_BYTES.bit_length() + 1)
