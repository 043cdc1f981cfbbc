"""One request to an engine in another process, from its tensors' place in memory to its answer."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Protocol

from service.engine.protocol import Outputs
from service.errors import CellsenseError
from service.remote.messages import Inline, Placed
from service.remote.segment import Slot
from service.runner.runner import Done


class Owner(Protocol):
    """What a call needs of the runner that made it."""

    waiting_rows: int

    def forsake(self, call: RemoteCall) -> None:
        """Nobody waits for it any more."""

    def outputs_of(self, message: Inline | Placed) -> Outputs:
        """The outputs of its answer."""


class RemoteCall:
    """A request on its way to the engine and back.

    Attributes:
        owner: the runner that made it.
        id: by which it is answered.
        waits: whether somebody waits for the answer; the memory stays taken until the engine has let go of it.
        deadline_s, queued_at_s, started_at_s, ended_at_s: times of `time.monotonic()`.
        rows: of its inputs.
    """

    __slots__ = (
        "_done", "_slots", "deadline_s", "ended_at_s", "id", "owner", "queued_at_s", "rows", "started_at_s", "waits",
    )  # fmt: skip

    def __init__(
        self, owner: Owner, identity: int, rows: int, deadline_s: float, slots: Sequence[Slot], done: Done
    ) -> None:
        """Hold `slots` until the engine has let go of them."""
        self.owner, self._done = owner, done
        self._slots = slots
        self.id = identity
        self.rows = rows
        self.deadline_s = deadline_s
        self.queued_at_s = time.monotonic()
        self.started_at_s = self.ended_at_s = math.nan
        self.waits = True

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        if self.waits:
            self._give_up()
            self.owner.forsake(self)

    def answered(self, message: Inline | Placed) -> None:
        """The engine has answered, and let go."""
        if not self.waits:
            self.release()
            return
        self.started_at_s, self.ended_at_s = message.started_s, message.ended_s
        outputs = self.owner.outputs_of(message)
        self.release()
        self.settle(outputs)

    def settle(self, outcome: Outputs | CellsenseError) -> None:
        """Tell whoever waits. The slots are kept."""
        if self.waits:
            self._give_up()
            self._done(outcome)

    def release(self) -> None:
        """The engine has let go of the slots."""
        slots, self._slots = self._slots, ()
        for slot in slots:
            slot.release()

    def _give_up(self) -> None:
        self.waits = False
        self.owner.waiting_rows -= self.rows
