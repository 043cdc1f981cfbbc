"""A histogram that takes a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram

FEW = 8  # values up to which one at a time is the faster way


class BatchHistogram(Histogram):
    """A histogram of `prometheus_client` with `observe_many`."""

    def observe_many(self, values: Sequence[float] | NDArray[np.floating]) -> None:
        """The same as `observe` of each of the values, which are finite: a lock a bucket instead of two a value."""
        if len(values) <= FEW:
            for value in values:
                self.observe(float(value))
            return
        array = np.asarray(values, np.float64)
        rows = np.bincount(np.searchsorted(self._upper_bounds, array))
        for bucket in np.flatnonzero(rows).tolist():
            self._buckets[bucket].inc(int(rows[bucket]))
        self._sum.inc(float(array.sum()))
