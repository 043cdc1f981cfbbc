from __future__ import annotations

import asyncio

import pytest

from service.pipeline.together import Together


class Work:
    """Remembers what was done together; may be held up, and fails on a part that is told to."""

    def __init__(self) -> None:
        self.done: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, parts: list[str]) -> None:
        self.done.append(parts)
        await self.open.wait()
        if "bad" in parts:
            raise ValueError("a bad part")


async def test_parts_of_one_turn_of_the_loop_are_done_in_one_go() -> None:
    work = Work()
    together = Together(work)
    await asyncio.gather(*(together.do(part) for part in "abc"))
    await together.do("d")
    assert work.done == [["a", "b", "c"], ["d"]]


async def test_what_comes_while_all_is_busy_waits_and_goes_together() -> None:
    work = Work()
    together = Together(work, at_once=2)
    work.open.clear()
    calls = []
    for part in "abcd":
        calls.append(asyncio.create_task(together.do(part)))
        await asyncio.sleep(0.001)
    assert work.done == [["a"], ["b"]]
    work.open.set()
    await asyncio.gather(*calls)
    assert work.done == [["a"], ["b"], ["c", "d"]]  # by the first that is free again


async def test_what_comes_together_is_shared_out_to_all_that_are_free() -> None:
    work = Work()
    together = Together(work, at_once=2)
    await asyncio.gather(*(together.do(part) for part in "abcde"))
    assert work.done == [["a", "c", "e"], ["b", "d"]]


async def test_what_is_cancelled_before_it_begins_is_not_done() -> None:
    work = Work()
    together = Together(work, at_once=1)
    work.open.clear()
    first, second, third = (asyncio.create_task(together.do(part)) for part in "abc")
    await asyncio.sleep(0.001)
    fourth, fifth = (asyncio.create_task(together.do(part)) for part in "de")
    await asyncio.sleep(0.001)
    second.cancel()  # under way: the others go on
    fourth.cancel()
    work.open.set()
    found = await asyncio.gather(first, second, third, fourth, fifth, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in found] == [False, True, False, True, False]
    assert work.done == [["a", "b", "c"], ["e"]]


async def test_a_failure_is_that_of_every_part_and_of_none_after() -> None:
    work = Work()
    together = Together(work, at_once=1)
    failures = await asyncio.gather(together.do("a"), together.do("bad"), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["a bad part"] * 2
    await together.do("b")
    with pytest.raises(ValueError, match="a bad part"):
        await together.do("bad")
