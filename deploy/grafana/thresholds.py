"""Colours of values: green is well, orange is near an alert, red is beyond it."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode

GOOD, NEAR, BAD, PLAIN = "green", "orange", "red", "blue"

Steps = Sequence[tuple[float | None, str]]
"""Colours from a value on; the first has None, and holds below all others."""


def low_is_good(bad: float, near: float | None = None) -> Steps:
    """Red from `bad` on, orange from half of it (or from `near`) on."""
    return [(None, GOOD), (bad / 2 if near is None else near, NEAR), (bad, BAD)]


def high_is_good(bad: float, near: float) -> Steps:
    """Red below `bad`, orange below `near`."""
    return [(None, BAD), (bad, NEAR), (near, GOOD)]


def band(low: float, high: float, margin: float) -> Steps:
    """Green between `low` and `high`, orange up to `margin` beyond, red further out."""
    return [(None, BAD), (low - margin, NEAR), (low, GOOD), (high, NEAR), (high + margin, BAD)]


PLAIN_STEPS: Steps = [(None, PLAIN)]
"""For what is neither good nor bad."""


def config(steps: Steps) -> ThresholdsConfig:
    """The steps as Grafana takes them."""
    made = [Threshold(value=None if value is None else round(value, 6), color=color) for value, color in steps]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(made)
