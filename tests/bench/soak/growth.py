"""Whether memory grows: a line through what was seen after the warm-up, that single leaps do not tilt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LIMIT = 0.02
CRITERION = f"flat: by the Theil-Sen line after the warm-up it rises by at most {LIMIT:.0%} of its median"


@dataclass(frozen=True)
class Growth:
    """A line through memory over time.

    Attributes:
        mib_per_minute: the median of the slopes between any two samples (Theil 1950, Sen 1968).
        start_mib: of the line, at the first of the samples that count; `median_mib` of those samples.
        from_s, to_s: time of the first and the last of them.
    """

    mib_per_minute: float
    start_mib: float
    median_mib: float
    from_s: float
    to_s: float

    @property
    def rise_mib(self) -> float:
        """Of the line, from its start to its end."""
        return self.mib_per_minute * (self.to_s - self.from_s) / 60

    @property
    def flat(self) -> bool:
        """See `CRITERION`. What shrinks does not grow."""
        return self.rise_mib <= LIMIT * self.median_mib


def growth(times_s: Sequence[float], memory_mib: Sequence[float], warm_s: float) -> Growth:
    """The line through the samples after the warm-up. Raises `ValueError` where there are fewer than three."""
    times, memory = np.array(times_s), np.array(memory_mib)
    times, memory = times[np.array(times_s) >= warm_s], memory[np.array(times_s) >= warm_s]
    if len(times) < 3:
        raise ValueError(f"expected at least 3 samples of memory after {warm_s:.0f} s, got {len(times)}: take longer")
    earlier, later = np.triu_indices(len(times), 1)
    slope = float(np.median((memory[later] - memory[earlier]) / (times[later] - times[earlier])))
    start = float(np.median(memory - slope * (times - times[0])))
    return Growth(60 * slope, start, float(np.median(memory)), float(times[0]), float(times[-1]))
