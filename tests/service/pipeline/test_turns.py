from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Overloaded, ShuttingDown
from service.pipeline.turns import COMPANY, Entry, TurnLimits, TurnMetrics, Turns

CALLER = contextvars.ContextVar("caller", default="nobody")


class Stage:
    """Does parts together, and remembers; may be held up, and fails on a part that is told to."""

    def __init__(self) -> None:
        self.done: list[list[str]] = []
        self.callers: list[str] = []
        self.cancelled = 0
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, parts: list[str]) -> None:
        self.done.append(parts)
        self.callers.append(CALLER.get())
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if "bad" in parts:
            raise ValueError("a bad part")


class Queue:
    """What is told of it."""

    def __init__(self) -> None:
        self.rows = 0
        self.turns = self.parts = 0

    def metrics(self) -> TurnMetrics:
        return TurnMetrics(self._add, self._turn, self._part)

    def _add(self, rows: int) -> None:
        self.rows += rows
        assert self.rows >= 0

    def _turn(self, waited_s: float) -> None:
        assert waited_s >= 0
        self.turns += 1

    def _part(self, came_s: float, began_s: float) -> None:
        assert came_s <= began_s
        self.parts += 1


def turns_of(
    stage: Stage, at_once: int = 1, max_work: int = 99, max_parts: int = 99, max_queue_rows: int = 99
) -> tuple[Turns[str], Queue]:
    queue = Queue()
    return Turns(stage, TurnLimits(at_once, max_work, max_parts, max_queue_rows), queue.metrics()), queue


class Caller:
    """Enters a part, and remembers how that ended."""

    def __init__(self, turns: Turns[str], part: str, rows: int = 1, work: int = 1) -> None:
        self.ends: list[Exception | None] = []
        self.entry: Entry[str] = turns.enter(part, rows, work, self.ends.append)


async def settled(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


async def test_parts_of_one_turn_of_the_loop_are_done_in_one_go() -> None:
    stage = Stage()
    turns, queue = turns_of(stage)
    callers = [Caller(turns, part) for part in "abc"]
    assert turns.queued_rows == queue.rows == 3
    await settled(lambda: all(caller.ends for caller in callers))
    assert stage.done == [["a", "b", "c"]]
    assert [caller.ends for caller in callers] == [[None]] * 3
    assert (turns.queued_rows, queue.rows, queue.turns, queue.parts) == (0, 0, 1, 3)


async def test_what_comes_while_all_turns_are_taken_waits_and_goes_together() -> None:
    stage = Stage()
    turns, _ = turns_of(stage)
    stage.open.clear()
    callers = [Caller(turns, "a")]
    await settled(lambda: bool(stage.done))
    callers += [Caller(turns, part) for part in "bcd"]
    await asyncio.sleep(0.01)
    assert stage.done == [["a"]]
    stage.open.set()
    await settled(lambda: all(caller.ends for caller in callers))
    assert stage.done == [["a"], ["b", "c", "d"]]


async def test_what_comes_together_is_shared_out_to_all_turns_that_are_free() -> None:
    stage = Stage()
    turns, _ = turns_of(stage, at_once=2)
    callers = [Caller(turns, part) for part in "abcde"]
    await settled(lambda: all(caller.ends for caller in callers))
    assert stage.done == [["a", "b", "c"], ["d", "e"]]


async def test_a_turn_holds_no_more_work_than_it_may_but_for_a_part_that_has_more_by_itself() -> None:
    stage = Stage()
    turns, _ = turns_of(stage, max_work=4, max_parts=3)
    callers = [Caller(turns, part, work=work) for part, work in zip("abcdefg", (3, 2, 9, 1, 1, 1, 1), strict=True)]
    await settled(lambda: all(caller.ends for caller in callers))
    assert stage.done == [["a"], ["b"], ["c"], ["d", "e", "f"], ["g"]]


async def test_a_turn_beside_another_waits_a_little_for_company_and_one_that_is_alone_does_not() -> None:
    stage = Stage()
    turns, _ = turns_of(stage, at_once=2)
    stage.open.clear()
    first = Caller(turns, "a")
    await asyncio.sleep(0.2)
    stage.open.set()
    await settled(lambda: bool(first.ends))  # a turn takes 0.2 s
    stage.open.clear()
    began_s = asyncio.get_running_loop().time()
    callers = [Caller(turns, "b")]
    await settled(lambda: len(stage.done) == 2)
    assert asyncio.get_running_loop().time() - began_s < COMPANY * 0.2
    callers.append(Caller(turns, "c"))
    await asyncio.sleep(0.005)
    assert len(stage.done) == 2
    callers.append(Caller(turns, "d"))
    await settled(lambda: len(stage.done) == 3)
    assert stage.done[2] == ["c", "d"]
    stage.open.set()
    await settled(lambda: all(caller.ends for caller in callers))


async def test_what_leaves_before_its_turn_is_not_done_and_after_it_changes_nothing_for_the_others() -> None:
    stage = Stage()
    turns, queue = turns_of(stage)
    stage.open.clear()
    first, second = Caller(turns, "a"), Caller(turns, "b")
    await settled(lambda: bool(stage.done))
    third, fourth = Caller(turns, "c"), Caller(turns, "d", rows=5)
    second.entry.leave()
    fourth.entry.leave()
    fourth.entry.leave()
    assert queue.rows == 1
    stage.open.set()
    await settled(lambda: bool(third.ends))
    assert (first.ends, second.ends, third.ends, fourth.ends) == ([None], [], [None], [])
    assert stage.done == [["a", "b"], ["c"]]


async def test_a_turn_that_nobody_waits_for_any_more_is_cancelled_and_the_next_begins() -> None:
    stage = Stage()
    turns, _ = turns_of(stage)
    stage.open.clear()
    first, second = Caller(turns, "a"), Caller(turns, "b")
    await settled(lambda: bool(stage.done))
    third = Caller(turns, "c")
    first.entry.leave()
    await asyncio.sleep(0.01)
    assert stage.cancelled == 0
    second.entry.leave()
    await settled(lambda: len(stage.done) == 2)
    assert stage.cancelled == 1
    stage.open.set()
    await settled(lambda: bool(third.ends))
    assert (first.ends, second.ends) == ([], [])


async def test_a_failure_is_that_of_every_part_and_of_none_after() -> None:
    stage = Stage()
    turns, _ = turns_of(stage)
    callers = [Caller(turns, "a"), Caller(turns, "bad")]
    await settled(lambda: all(caller.ends for caller in callers))
    assert [str(caller.ends[0]) for caller in callers] == ["a bad part"] * 2
    after = Caller(turns, "b")
    await settled(lambda: bool(after.ends))
    assert after.ends == [None]


async def test_a_caller_that_fails_when_told_leaves_the_others_alone() -> None:
    turns, _ = turns_of(Stage())
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def fail(error: Exception | None) -> None:
        raise RuntimeError("cannot be told")

    turns.enter("a", 1, 1, fail)
    other = Caller(turns, "b")
    await settled(lambda: bool(other.ends))
    assert other.ends == [None]
    assert str(reported[0]["exception"]) == "cannot be told"


async def test_a_full_queue_says_when_to_come_again() -> None:
    stage = Stage()
    turns, _ = turns_of(stage, max_queue_rows=4)
    stage.open.clear()
    callers = [Caller(turns, "a")]
    await settled(lambda: bool(stage.done))
    callers += [
        Caller(turns, "b", rows=9),
    ]  # larger than the whole queue, which is empty
    with pytest.raises(Overloaded, match="9 rows wait and 1 more would pass the limit of 4") as shed:
        Caller(turns, "c")
    assert shed.value.retry_after_s > 0
    stage.open.set()
    await settled(lambda: all(caller.ends for caller in callers))
    Caller(turns, "d")


async def test_closed_it_fails_what_waits_and_finishes_what_runs() -> None:
    stage = Stage()
    turns, queue = turns_of(stage)
    stage.open.clear()
    running = Caller(turns, "a")
    await settled(lambda: bool(stage.done))
    waiting = Caller(turns, "b")
    turns.close()
    assert isinstance(waiting.ends[0], ShuttingDown)
    assert queue.rows == 0
    with pytest.raises(ShuttingDown):
        Caller(turns, "c")
    stage.open.set()
    await settled(lambda: bool(running.ends))
    assert running.ends == [None]
    assert stage.done == [["a"]]


async def test_a_part_alone_is_done_in_the_context_of_its_caller_and_several_in_that_of_none() -> None:
    stage = Stage()
    turns, _ = turns_of(stage)
    for callers in (["ann"], ["bob", "eve"]):
        entered = [contextvars.copy_context().run(partial(_enter_as, turns, name)) for name in callers]
        await settled(lambda entered=entered: all(caller.ends for caller in entered))  # type: ignore[misc]
    assert stage.callers == ["ann", "nobody"]


def _enter_as(turns: Turns[str], name: str) -> Caller:
    CALLER.set(name)
    return Caller(turns, name)


ACTION = st.tuples(st.sampled_from(["enter", "enter", "enter", "leave", "wait", "hold", "go"]), st.integers(0, 40))


@settings(max_examples=150, deadline=None)
@given(
    actions=st.lists(ACTION, max_size=40),
    at_once=st.integers(1, 3),
    max_work=st.integers(1, 12),
    max_parts=st.integers(1, 5),
)
def test_whatever_happens_each_part_ends_once_and_no_row_is_lost(
    actions: list[tuple[str, int]], at_once: int, max_work: int, max_parts: int
) -> None:
    async def run() -> None:
        stage = Stage()
        turns, queue = turns_of(stage, at_once, max_work, max_parts, max_queue_rows=20)
        callers: list[Caller] = []
        left: set[int] = set()
        for name, number in actions:
            if name == "enter":
                part = "bad" if number % 7 == 0 else str(len(callers))
                try:
                    callers.append(Caller(turns, part, rows=1 + number % 5, work=1 + number % 9))
                except Overloaded:
                    assert turns.queued_rows + 1 + number % 5 > 20
            elif name == "leave" and callers:
                victim = number % len(callers)
                if not callers[victim].ends:
                    left.add(victim)
                callers[victim].entry.leave()
            elif name == "wait":
                await asyncio.sleep(0)
            elif name == "hold":
                stage.open.clear()
            else:
                stage.open.set()
            assert turns.queued_rows == queue.rows
        stage.open.set()
        await settled(lambda: all(caller.ends for number, caller in enumerate(callers) if number not in left))
        await settled(lambda: queue.rows == 0 == turns._running)
        for number, caller in enumerate(callers):
            assert len(caller.ends) == (0 if number in left else 1)

    asyncio.run(run())
