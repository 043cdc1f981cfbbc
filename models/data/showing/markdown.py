"""Tables and figures in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

FIVE = ("least", "5 %", "median", "95 %", "most")  # columns of `five`


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table; whole numbers get separators."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(f"{v:,}" if isinstance(v, int) else str(v) for v in line) + " |" for line in lines
    )


def size(count: float) -> str:
    """Bytes in a readable unit."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"


def percent(flags: NDArray[np.bool_], digits: int = 1) -> str:
    """Share of the true ones; a dash where there is none to count."""
    return f"{100 * float(flags.mean()):.{digits}f} %" if flags.size else "–"


def five(values: NDArray[np.generic], digits: int = 1) -> list[str]:
    """Least, 5 %, median, 95 % and most; dashes where there is no value."""
    if not values.size:
        return ["–"] * len(FIVE)
    return [f"{value:.{digits}f}" for value in np.percentile(values, [0, 5, 50, 95, 100])]
