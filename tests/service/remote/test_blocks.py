from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.remote.blocks import SMALLEST_BYTES, Blocks, order_of

PAGES = 64
CAPACITY = PAGES * SMALLEST_BYTES
STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, CAPACITY)), max_size=200)


@pytest.mark.parametrize(
    ("nbytes", "order"), [(0, 0), (1, 0), (SMALLEST_BYTES, 0), (SMALLEST_BYTES + 1, 1), (CAPACITY, 6)]
)
def test_a_block_is_the_smallest_power_of_two_that_holds_it(nbytes: int, order: int) -> None:
    assert order_of(nbytes) == order


@given(STEPS)
def test_blocks_never_overlap_and_all_of_it_is_free_again_in_the_end(steps: list[tuple[bool, int]]) -> None:
    blocks = Blocks(CAPACITY)
    taken: list[tuple[int, int]] = []
    for give, number in steps:
        if give and taken:
            blocks.give(*taken.pop(number % len(taken)))
        elif (found := blocks.take(number)) is not None:
            offset, size = found[0], SMALLEST_BYTES << found[1]
            assert size >= number
            assert offset % size == 0
            assert offset + size <= CAPACITY
            assert all(offset + size <= o or o + (SMALLEST_BYTES << order) <= offset for o, order in taken)
            taken.append(found)
        assert blocks.taken_bytes == sum(SMALLEST_BYTES << order for _, order in taken)
    for each in taken:
        blocks.give(*each)
    assert blocks.take(CAPACITY) == (0, order_of(CAPACITY))


@given(STEPS)
def test_a_block_is_refused_only_where_no_aligned_range_of_its_size_is_free(steps: list[tuple[bool, int]]) -> None:
    blocks = Blocks(CAPACITY)
    taken: list[tuple[int, int]] = []
    for give, number in steps:
        if give and taken:
            blocks.give(*taken.pop(number % len(taken)))
            continue
        if (found := blocks.take(number)) is not None:
            taken.append(found)
            continue
        size = SMALLEST_BYTES << order_of(number)
        for start in range(0, CAPACITY, size):
            assert any(o < start + size and start < o + (SMALLEST_BYTES << order) for o, order in taken)


def test_small_blocks_that_were_given_back_make_room_for_a_large_one() -> None:
    blocks = Blocks(CAPACITY)
    small = [blocks.take(1) for _ in range(PAGES)]
    assert blocks.take(1) is None
    for block in small:
        assert block is not None
        blocks.give(*block)
    assert blocks.take(CAPACITY) == (0, order_of(CAPACITY))
    assert blocks.take(1) is None


def test_what_was_given_back_last_is_taken_first() -> None:
    blocks = Blocks(CAPACITY)
    first, second = blocks.take(1), blocks.take(1)
    assert first is not None
    assert second is not None
    blocks.give(*second)
    blocks.give(*first)
    assert blocks.take(1) == first


def test_more_than_all_of_it_is_refused() -> None:
    assert Blocks(CAPACITY).take(CAPACITY + 1) is None
