"""How frames and requests ended, as counters and in the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import structlog

from service.api.problems import reason_of, status_of
from service.errors import (
    BufferUnavailable,
    CellsenseError,
    DeadlineExceeded,
    EngineFailure,
    InvalidInput,
    NotReady,
    Overloaded,
    ShuttingDown,
)
from service.feedback.judging import Verdict
from service.metrics.traffic import UNKNOWN_SITE, TrafficMetrics
from service.pipeline import Answer, SiteFrame

ANSWERED = "200"

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def count_frames(
    traffic: TrafficMetrics,
    sites: Collection[str],
    frames: Sequence[SiteFrame | InvalidInput],
    outcomes: Sequence[Answer | Exception],
) -> None:
    """Count the frames of a request, and add how many there were and what became of them to its line in the log.

    Args:
        traffic: the counters.
        sites: those that are served; any other name is counted as unknown.
        frames: as they were read.
        outcomes: one a frame.
    """
    ends: Counter[tuple[str, str]] = Counter()
    reasons: Counter[str] = Counter()
    for frame, outcome in zip(frames, outcomes, strict=True):
        site = frame.site if isinstance(frame, SiteFrame) and frame.site in sites else UNKNOWN_SITE
        if isinstance(outcome, Answer):
            ends[site, ANSWERED] += 1
            continue
        ends[site, str(status_of(outcome))] += 1
        if (reason := shed_reason(outcome)) is not None:
            traffic.frames_shed.labels(reason).inc()
        else:
            traffic.frames_failed.labels(reason := reason_of(outcome)).inc()
        reasons[reason] += 1
    _note("frames", len(frames), reasons)
    _log_defects(outcomes)
    for (site, status), count in ends.items():
        traffic.frames.labels(site, status).inc(count)


def note_labels(verdicts: Sequence[Verdict | CellsenseError]) -> None:
    """Add how many labels there were, and what became of those that failed, to their request's line in the log."""
    errors = [verdict for verdict in verdicts if isinstance(verdict, CellsenseError)]
    _note("labels", len(verdicts), Counter(map(reason_of, errors)))


def count_request(traffic: TrafficMetrics, error: Exception) -> None:
    """Count a request that failed whole, if it was turned away, and add the reason to its line in the log."""
    if (reason := shed_reason(error)) is not None:
        traffic.requests_shed.labels(reason).inc()
    structlog.contextvars.bind_contextvars(reason=reason or reason_of(error))
    _log_defects([error])


def shed_reason(error: Exception) -> str | None:
    """Why something was turned away though nothing is wrong with it; None where something is."""
    match error:
        case Overloaded():
            return error.resource
        case DeadlineExceeded():
            return "deadline"
        case ShuttingDown():
            return "shutdown"
        case NotReady():
            return "not_ready"
        case BufferUnavailable():
            return "buffer"
    return None


def _note(what: str, count: int, failed: Counter[str]) -> None:
    structlog.contextvars.bind_contextvars(**{what: count}, **({"failed": dict(failed)} if failed else {}))


def _log_defects(outcomes: Iterable[object]) -> None:
    """Errors of a model are nobody's to expect: the log has what the engine said, once a request."""
    for message in sorted({str(outcome) for outcome in outcomes if isinstance(outcome, EngineFailure)}):
        log.error("Inference failed", error=message)
