"""What a load generator saw, whichever it was."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """Requests within some time. `errors` are those that failed in any way; `requests` are the others.

    `reason` is an answer that was an error, where the generator looked at answers.
    """

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    reason: str = ""
