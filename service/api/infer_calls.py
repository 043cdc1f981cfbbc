"""Infer calls without the framework: what `service.api.infer` does for a route of it, without a copy of a tensor."""

from __future__ import annotations

import time
from functools import lru_cache

from service.api.gateway import Gateway
from service.api.infer import BINARY, JSON, SMALL_JSON_BYTES, failed_run
from service.api.infer_heads import InferHead
from service.api.plain_calls import GONE, Answered, PlainCall, PlainCalls
from service.engine.protocol import Outputs
from service.errors import CellsenseError, EngineFailure
from service.oip.codec import HEADER_LENGTH, InferRequest, write_response
from service.runner.runner import Call, Runner


class InferCalls(PlainCalls[InferHead]):
    """Begins infer calls."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self.verbose = gateway.settings.log_level == "debug"  # at a thousand calls a second the rest is not logged

    def admit(self, head: InferHead) -> bool:
        """See `PlainCalls`; a long document is read in a thread, by the framework's route."""
        json_bytes = head.document_bytes
        return json_bytes is not None and json_bytes <= SMALL_JSON_BYTES and super().admit(head)

    def begin(self, head: InferHead, body: memoryview, started_s: float, answered: Answered) -> InferCall | None:
        """See `PlainCalls`."""
        call = InferCall(self, head, started_s, answered)
        return call if call.begin(body) else None


class InferCall(PlainCall[InferHead]):
    """One infer call. It is not `clean` where it was cancelled or too late: the engine may be reading the body then."""

    __slots__ = ("_call", "_request", "_runner", "_verbose")

    def __init__(self, calls: InferCalls, head: InferHead, started_s: float, answered: Answered) -> None:
        super().__init__(calls, head, started_s, answered)
        self._verbose = calls.verbose
        self._call: Call | None = None
        self._request: InferRequest
        self._runner: Runner

    def begin(self, body: memoryview) -> bool:
        """Whether it waits now; if not, it has been answered."""
        gateway, head = self._calls.gateway, self._head
        now_s = time.monotonic()
        try:
            self._runner = gateway.repository.runner(head.model, head.version)
            self._request = gateway.inference.read(body, head.header_length, self._runner)
            patience_s, asked_s = gateway.settings.deadline_s, self._request.timeout_s
            if asked_s is not None and asked_s < patience_s:
                patience_s = asked_s
            self._call = self._runner.enqueue(self._request.inputs, now_s + patience_s, self._done)
        except CellsenseError as error:
            self.fail(error)
            return False
        return True

    def cancel(self) -> None:
        """The client went away."""
        if self._call is not None:
            self._call.cancel()
            self._call, self.clean = None, False
            self._count(GONE)

    def _done(self, outcome: Outputs | CellsenseError) -> None:
        self._call = None
        if isinstance(outcome, CellsenseError):
            self._failed(outcome)
            return
        try:
            parts, json_bytes = write_response(self._request, outcome, self._runner.name, self._runner.version)
        except CellsenseError as error:
            self.fail(error)
            return
        self._count(200)
        self._answered(200, self.identified(_lines(sum(map(len, parts)), json_bytes)), parts)

    def _failed(self, error: CellsenseError) -> None:
        if isinstance(error, EngineFailure):
            self.fail(failed_run(self._runner.name, error))
            return
        self.clean = False  # too late, most likely: a run may be reading it still
        self.fail(error)

    def _count(self, status: int) -> None:
        if self._verbose:
            self.bind()
            self.end(status)
        else:
            self._calls.ended(self._head, status, self._started_s)


@lru_cache(1024)
def _lines(size: int, json_bytes: int | None) -> bytes:
    """What the head of an answer says of a body of so many bytes, of which so many are its document."""
    if json_bytes is None:
        return f"content-type: {JSON}\r\ncontent-length: {size}\r\n".encode()
    document = f"{HEADER_LENGTH.lower()}: {json_bytes}\r\n"
    return f"content-type: {BINARY}\r\ncontent-length: {size}\r\n{document}".encode()
