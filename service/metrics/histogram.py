"""A histogram that takes a whole batch at once."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram

FEW = 64  # values up to which NumPy is not worth its calls


class BatchHistogram(Histogram):
    """A histogram of `prometheus_client` with more than one value at a time."""

    def observe_times(self, value: float, count: int) -> None:
        """The same as `observe` of a value so many times."""
        self._buckets[bisect_left(self._upper_bounds, value)].inc(count)
        self._sum.inc(count * value)

    def observe_many(self, values: Sequence[float] | NDArray[np.floating]) -> None:
        """The same as `observe` of each of the values, which are finite: a lock a bucket instead of two a value."""
        if len(values) <= FEW:
            found = [float(value) for value in values]
            for bucket, count in Counter([bisect_left(self._upper_bounds, value) for value in found]).items():
                self._buckets[bucket].inc(count)
            self._sum.inc(sum(found))
            return
        array = np.asarray(values, np.float64)
        rows = np.bincount(np.searchsorted(self._upper_bounds, array))
        for bucket in np.flatnonzero(rows).tolist():
            self._buckets[bucket].inc(int(rows[bucket]))
        self._sum.inc(float(array.sum()))
