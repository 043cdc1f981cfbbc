"""Domain errors. They know nothing of HTTP: `service.api.problems` alone maps them to status codes.

CellsenseError
├── InvalidInput (field, expected, got)   the caller's data does not fit
│   ├── MalformedBody                     not JSON at all
│   ├── PayloadTooLarge                   a body or a batch over its limit
│   ├── UnknownSite                       no artifact serves that site
│   ├── UnknownScene                      a reference to a scene capture that is not in the batch
│   ├── UnknownTask                       a task that the site cannot answer
│   ├── UnknownFrame                      a label for a frame that nothing is known of
│   ├── UnknownUe                         nothing is buffered for that UE
│   ├── UnknownModel                      no model of that name or version
│   └── TimestampConflict                 duplicated, out of order, or in the future
├── Unavailable                           nothing wrong with the input: try again later
│   ├── Overloaded (retry_after_s)        the queue or the memory is full
│   ├── NotReady                          still loading or warming up
│   ├── ShuttingDown                      accepts no new work
│   └── BufferUnavailable                 the trajectory buffer cannot be reached
├── ModelNotReady                         a model is not loaded, or not warm yet
├── DeadlineExceeded                      the answer would come too late
├── EngineFailure                         inference raised
└── ArtifactError                         a served model does not fit this code or this machine
"""

from __future__ import annotations

from typing import Self


class CellsenseError(Exception):
    """Base of every error that this service raises on purpose."""


class InvalidInput(CellsenseError):
    """The caller's data does not fit.

    Attributes:
        field: path of what is wrong, e.g. `frames[3].csi`.
        expected: what would have been accepted.
        got: what came instead, short enough to log.
    """

    def __init__(self, field: str, expected: str, got: str) -> None:
        super().__init__(f"{field}: expected {expected}, got {got}")
        self.field = field
        self.expected = expected
        self.got = got

    def within(self, parent: str) -> Self:
        """The same error seen from outside: `timestamp_s` within `frames[3]` is `frames[3].timestamp_s`."""
        return type(self)(f"{parent}.{self.field}", self.expected, self.got)


class MalformedBody(InvalidInput):
    """The body is not JSON at all."""


class PayloadTooLarge(InvalidInput):
    """A body or a batch is over its limit."""


class UnknownSite(InvalidInput):
    """No artifact serves the named site."""


class UnknownScene(InvalidInput):
    """A frame refers to a scene capture that is not in the batch."""


class UnknownTask(InvalidInput):
    """A frame asks for a task that its site cannot answer."""


class UnknownUe(InvalidInput):
    """Nothing is buffered for the UE."""


class UnknownModel(InvalidInput):
    """No artifact has a model of that name, or not in that version."""


class UnknownFrame(InvalidInput):
    """A label belongs to a frame that nothing is known of: never answered, or too long ago."""


class TimestampConflict(InvalidInput):
    """A timestamp is duplicated with other content, out of order, or in the future."""


class Unavailable(CellsenseError):
    """Nothing is wrong with the input: the same request may succeed later."""


class Overloaded(Unavailable):
    """There is no room.

    Attributes:
        retry_after_s: seconds after which there is likely to be some.
        resource: where there is none: `queue` or `memory`.
    """

    def __init__(self, retry_after_s: float, detail: str = "the queue is full", resource: str = "queue") -> None:
        super().__init__(f"{detail}: retry after {retry_after_s:.3g} s")
        self.retry_after_s = retry_after_s
        self.resource = resource


class NotReady(Unavailable):
    """Models are still being loaded or warmed up."""


class ShuttingDown(Unavailable):
    """The service accepts no new work."""


class BufferUnavailable(Unavailable):
    """The trajectory buffer cannot be reached."""


class ModelNotReady(CellsenseError):
    """One model is not loaded, or not warm yet, whatever the service as a whole."""


class DeadlineExceeded(CellsenseError):
    """The answer would come too late to be of use."""


class EngineFailure(CellsenseError):
    """Inference raised, or answered something that does not fit."""


class ArtifactError(CellsenseError):
    """A served model does not fit this code or this machine: manifest, checksum, tensor specs or provider."""
