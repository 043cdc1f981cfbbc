"""The limits that boards draw: read from the alert rules, so that a red line is where an alert begins."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).resolve().parents[1] / "prometheus" / "rules"
FIRST_LIMIT = re.compile(r"[<>]=?\s*([0-9.]+)")

DEADLINE_S = 0.1  # that a controller waits; a bucket of the request histogram, and the bound of CellsenseSlow
COVERAGE = 0.9  # that a 90 % region promises


@cache
def alerts() -> dict[str, dict[str, Any]]:
    """Every alert rule by its name."""
    groups = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def limit(alert: str) -> float:
    """The first number that an alert compares with. Raises `ValueError` where there is none."""
    found = FIRST_LIMIT.search(alerts()[alert]["expr"])
    if found is None:
        raise ValueError(f"{alert}: expected a comparison with a number, got {alerts()[alert]['expr']!r}")
    return float(found[1])
