"""A request that is being answered: what of it goes through the pipeline, by when, and what came of it so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from service.errors import CellsenseError, DeadlineExceeded, InvalidInput
from service.pipeline.frames import Batch, SiteFrame, SiteScene
from service.pipeline.normalise import Pictures, Work
from service.pipeline.outcomes import Outcome
from service.pipeline.turns import Entry, Turns

CAPTURE_WORK = 3  # of a scene capture, beside that of a frame: a picture, point clouds and networks that see them

Done = Callable[[list[Outcome] | Exception], None]
"""Takes the outcome of every frame, or what nobody foresaw."""


Decode = Callable[[Work], Future[Pictures]]
"""Begins to decode the pictures of a request."""


def work_of(work: Work) -> int:
    """How much of a turn a request takes, in frames."""
    return len(work.frames) + CAPTURE_WORK * len(work.scenes)


class Asked:
    """One request. Its outcomes are given once: when all are there, or late, or never where the caller has gone.

    Attributes:
        work: its frames that are to be answered.
        deadline_s: time of `time.monotonic()` by which.
        decoding: its pictures, if there are any, once it waits for its turn.
    """

    __slots__ = ("_alarm", "_done", "_entry", "_outcomes", "_patience_s", "_size", "deadline_s", "decoding", "work")

    def __init__(
        self, batch: Batch, errors: Mapping[int, Outcome], deadline_s: float, patience_s: float, done: Done
    ) -> None:
        """Nothing happens before `begin`.

        Args:
            batch: the request.
            errors: of the frames that cannot be answered, by position.
            deadline_s: time of `time.monotonic()` after which a frame fails.
            patience_s: how long that was from the beginning, for the message.
            done: called with the outcomes.
        """
        frames: dict[int, SiteFrame] = {}
        scenes: dict[int, SiteScene] = {}
        for index, entry in enumerate(batch.frames):
            if index in errors or isinstance(entry, InvalidInput):
                continue
            frames[index] = entry
            if entry.frame.scene is not None and isinstance(scene := batch.scenes[entry.frame.scene], SiteScene):
                scenes[entry.frame.scene] = scene
        self.work = Work(frames, scenes)
        self.deadline_s = deadline_s
        self.decoding: Future[Pictures] | None = None
        self._patience_s, self._done = patience_s, done
        self._size = len(batch.frames)
        self._outcomes = dict(errors)
        self._entry: Entry[Asked] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def begin(self, turns: Turns[Asked], decode: Decode) -> None:
        """Wait for a turn; pictures are decoded meanwhile, for decoders need no turn."""
        frames = len(self.work.frames)
        if not frames:
            self._end()
            return
        try:
            self._entry = turns.enter(self, frames, work_of(self.work), self._ended)
        except CellsenseError as error:
            self._fail(error)
            return
        if self.work.has_pictures:
            self.decoding = decode(self.work)
        self._alarm = asyncio.get_running_loop().call_later(self.deadline_s - time.monotonic(), self._too_late)

    def tell(self, index: int, outcome: Outcome) -> None:
        """What came of a frame, by its position in the request."""
        self._outcomes.setdefault(index, outcome)

    def cancel(self) -> None:
        """Nobody waits for the outcomes any more."""
        self._leave()
        self._done = _nobody

    def _ended(self, error: Exception | None) -> None:
        self._leave()
        if error is None:
            self._end()
        elif isinstance(error, CellsenseError):
            self._fail(error)
        else:
            self._tell_all(error)

    def _leave(self) -> None:
        alarm, entry, self._alarm, self._entry = self._alarm, self._entry, None, None
        if alarm is not None:
            alarm.cancel()
        if entry is not None:
            if entry.turn is None and self.decoding is not None:
                self.decoding.cancel()  # a turn waits for the pictures of all of its requests
            entry.leave()

    def _too_late(self) -> None:
        self._leave()
        self._fail(DeadlineExceeded(f"no answer within the deadline of {self._patience_s:g} s: send fewer frames"))

    def _fail(self, error: CellsenseError) -> None:
        """What has no outcome has this one."""
        for index in self.work.frames:
            self.tell(index, error)
        self._end()

    def _end(self) -> None:
        self._tell_all([self._outcomes[index] for index in range(self._size)])

    def _tell_all(self, outcomes: list[Outcome] | Exception) -> None:
        done, self._done = self._done, _nobody  # a cycle would keep the request until somebody looks for cycles
        done(outcomes)


def _nobody(_: list[Outcome] | Exception) -> None:
    """Waits any more."""
