"""Values as Grafana writes them, for the units that the boards use."""

from __future__ import annotations

import math


def written(value: float, unit: str) -> str:
    """A value with its unit, short enough for an axis."""
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s":
        return _scaled(value, ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")))
    if unit == "bytes":
        return _scaled(value, ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")))
    number = f"{value:.0f}" if value == int(value) else f"{value:.3g}"
    if unit == "reqps":
        return f"{number} req/s"
    return number + unit.removeprefix("suffix:") if unit.startswith("suffix:") else number


def _scaled(value: float, scales: tuple[tuple[float, str], ...]) -> str:
    if value == 0:
        return f"0 {scales[-1][1] if scales[-1][1] == 'B' else 's'}"
    for scale, name in scales:
        if abs(value) >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value / scales[-1][0]:.3g} {scales[-1][1]}"
