"""Calls of `/v1/sense` without the framework: what `service.api.sense` does for a route of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import ClassVar

from starlette.datastructures import Headers

from service.api.media import JSON, MESSAGEPACK, Form, answer_form, request_form
from service.api.parsing import parse_batch
from service.api.plain_calls import Answered, PlainCall, PlainCalls
from service.api.plain_heads import PlainHead
from service.api.problems import HttpProblem
from service.api.sense import ROUTE, account_for, sense_response
from service.errors import CellsenseError
from service.pipeline import Asked, Batch, Outcome


@dataclass(frozen=True)
class SenseHead:
    """A batch of frames that is read at once.

    Attributes:
        form: of the request.
        answer_form: to answer in.
        body_bytes: length of its body.
        request_id: as the caller gave it, None where it did not.
    """

    form: Form
    answer_form: Form
    body_bytes: int
    request_id: bytes | None
    route: ClassVar[str] = ROUTE
    tensors_at: ClassVar[int] = 0  # what is read of a document is copied out of it


def sense_head(plain: PlainHead) -> SenseHead | None:
    """What a plain head says; None where it is no batch of frames, or one that is left to the framework."""
    if plain.url != ROUTE.encode():
        return None
    headers = Headers(raw=list(plain.headers.items()))
    try:
        form = request_form(headers, JSON, MESSAGEPACK)
    except HttpProblem:
        return None
    if plain.body_bytes > form.at_once_bytes:
        return None
    return SenseHead(form, answer_form(headers, form), plain.body_bytes, plain.request_id)


class SenseCalls(PlainCalls[SenseHead]):
    """Begins calls of `/v1/sense`."""

    def begin(self, head: SenseHead, body: memoryview, started_s: float, answered: Answered) -> SenseCall | None:
        """See `PlainCalls`."""
        call = SenseCall(self, head, started_s, answered)
        return call if call.begin(body) else None


class SenseCall(PlainCall[SenseHead]):
    """One batch of frames."""

    __slots__ = ("_asked", "_batch", "_over")

    def __init__(self, calls: SenseCalls, head: SenseHead, started_s: float, answered: Answered) -> None:
        super().__init__(calls, head, started_s, answered)
        self._asked: Asked | None = None
        self._batch: Batch
        self._over = False

    def begin(self, body: memoryview) -> bool:
        """Whether it waits now; if not, it has been answered."""
        self.bind()  # what is done for it alone is logged with its identity
        gateway, settings = self._calls.gateway, self._calls.gateway.settings
        try:
            gateway.pipeline.require_available()
            deadline_s = time.monotonic() + settings.deadline_s
            with gateway.stages.stage("parse"):
                form = self._head.form
                self._batch = parse_batch(form, body, settings.max_batch_frames, settings.max_batch_scenes)
            asked = gateway.pipeline.begin(self._batch, deadline_s, self._done)
            self._asked = None if self._over else asked
        except CellsenseError as error:
            self.fail(error)
        return not self._over

    def cancel(self) -> None:
        """The client went away."""
        if self._over or self._asked is None:
            return
        self._over = True
        self._asked.cancel()
        self._asked = None
        gone = HttpProblem(499, "Client went away", "the client closed the connection while it waited")
        self.bind()
        account_for(self._calls.gateway, self._batch, [gone] * len(self._batch.frames))
        super().cancel()

    def fail(self, error: Exception) -> None:
        """Answer with a problem."""
        self._over, self._asked = True, None
        super().fail(error)

    def _done(self, outcomes: list[Outcome] | Exception) -> None:
        self.bind()
        try:
            if isinstance(outcomes, Exception):
                raise outcomes
            account_for(self._calls.gateway, self._batch, outcomes)
            response = sense_response(self._calls.gateway, outcomes, self._head.answer_form)
        except Exception as error:  # that nobody foresaw: said to the client, and logged
            asyncio.get_running_loop().call_exception_handler({"message": f"{ROUTE} failed", "exception": error})
            self.fail(error)
            return
        self._over, self._asked = True, None
        self.respond(response)
