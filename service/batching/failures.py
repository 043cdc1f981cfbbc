"""The errors that a batcher answers with: a new one each time, for an exception that is shared grows tracebacks."""

from __future__ import annotations

from service.errors import DeadlineExceeded, EngineFailure, ShuttingDown


def too_late(waited_s: float) -> DeadlineExceeded:
    """After so many seconds."""
    return DeadlineExceeded(
        f"expected an answer before the deadline, got none after {waited_s:.3f} s: send less at once, or retry later"
    )


def shutting_down() -> ShuttingDown:
    """Of a batcher that is closed."""
    return ShuttingDown("this instance is shutting down: retry on another, or after it has restarted")


def engine_failure(cause: Exception) -> EngineFailure:
    """From whatever a run raised."""
    failure = EngineFailure(str(cause) if isinstance(cause, EngineFailure) else f"{type(cause).__name__}: {cause}")
    failure.__cause__ = cause
    return failure
