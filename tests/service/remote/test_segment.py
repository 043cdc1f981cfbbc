from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.errors import Overloaded, PayloadTooLarge
from service.remote.segment import KEPT_BYTES, MIB, Memory, Segment


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = Segment(MIB)
    yield segment
    segment.close()


def test_what_one_process_writes_another_reads(segment: Segment) -> None:
    other = Memory(segment.descriptor, segment.capacity)
    slot = segment.take(12)
    slot.view[:12] = np.array([1, 2, 3], np.float32).tobytes()
    np.testing.assert_array_equal(other.array(slot.start, "float32", (3,)), np.array([1, 2, 3], np.float32))


def test_a_slot_is_free_once_its_last_holder_has_let_go(segment: Segment) -> None:
    slot = segment.take(MIB)
    slot.hold()
    slot.release()
    with pytest.raises(Overloaded) as caught:
        segment.take(1)
    assert caught.value.resource == "memory"
    slot.release()
    assert segment.taken_bytes == 0
    segment.take(MIB)


def test_a_slot_that_was_freed_can_be_neither_held_nor_released(segment: Segment) -> None:
    slot = segment.take(1)
    slot.release()
    for use in (slot.hold, slot.release):
        with pytest.raises(ValueError, match="freed"):
            use()


def test_what_never_fits_is_the_callers_fault(segment: Segment) -> None:
    with pytest.raises(PayloadTooLarge, match="at most 1048576 bytes, got 1048577 bytes"):
        segment.take(MIB + 1)


def test_an_array_in_a_slot_is_found_by_its_address(segment: Segment) -> None:
    slots = [segment.take(nbytes) for nbytes in (1, 100_000, 5000)]
    for slot in slots:
        inside = np.frombuffer(slot.view, np.uint8)[100:200]
        offset = segment.place(inside)
        assert offset == slot.start + 100
        assert segment.slot_at(offset) is slot
    slots[1].release()
    with pytest.raises(KeyError):
        segment.slot_at(slots[1].start)


def test_an_array_elsewhere_or_in_pieces_has_no_place(segment: Segment) -> None:
    slot = segment.take(100)
    assert segment.place(np.zeros(10)) is None
    assert segment.place(np.frombuffer(slot.view, np.uint8)[:100:2]) is None


def test_a_view_beyond_the_memory_is_refused(segment: Segment) -> None:
    for offset in (MIB - 4, -8, 1 << 40):
        with pytest.raises((TypeError, ValueError)):
            segment.array(offset, "float32", (2,))


def test_memory_of_a_burst_is_given_back_when_all_is_quiet() -> None:
    segment = Segment(2 * KEPT_BYTES)
    kept, burst = segment.take(KEPT_BYTES), segment.take(KEPT_BYTES)
    for slot in (kept, burst):
        np.frombuffer(slot.view, np.uint8)[:] = 1
    assert _blocks_bytes(segment) == 2 * KEPT_BYTES
    burst.release()
    assert _blocks_bytes(segment) == 2 * KEPT_BYTES  # others are at work: no time for that now
    kept.release()
    assert _blocks_bytes(segment) == KEPT_BYTES
    segment.close()


def test_nothing_of_it_is_in_any_file_system(segment: Segment) -> None:
    assert Path(f"/proc/self/fd/{segment.descriptor}").readlink() == Path("/memfd:cellsense (deleted)")
    segment.close()
    segment.close()


def _blocks_bytes(segment: Segment) -> int:
    """Of the memory, what has pages."""
    return os.fstat(segment.descriptor).st_blocks * 512
