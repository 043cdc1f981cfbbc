"""What a graph has done since it was loaded, as the statistics extension of the Open Inference Protocol counts it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field


@dataclass
class Duration:
    """Of something that happened several times.

    Attributes:
        count: how often.
        total_s: seconds in all.
    """

    count: int = 0
    total_s: float = 0.0

    def add(self, duration_s: float, times: int = 1) -> None:
        """It happened again, to so many at once."""
        self.count += times
        self.total_s += duration_s * times


@dataclass
class RunStatistics:
    """The parts of a run: putting tensors together, computing, taking apart."""

    merge: Duration = field(default_factory=Duration)
    compute: Duration = field(default_factory=Duration)
    split: Duration = field(default_factory=Duration)


class GraphStatistics:
    """Counts of one graph. Safe to use from several threads."""

    def __init__(self) -> None:
        self.rows = 0
        self.runs = 0
        self.last_unix_ms = 0
        self.success = Duration()
        self.fail = Duration()
        self.queue = Duration()
        self.jobs = RunStatistics()  # once a job
        self.batches: dict[int, RunStatistics] = {}  # once a run, by its rows
        self._lock = threading.Lock()

    def answered(self, rows: int, queue_s: float, total_s: float) -> None:
        """A job was answered."""
        self.rows += rows
        self.last_unix_ms = time.time_ns() // 1_000_000
        success, queue = self.success, self.queue  # by hand: this is done for every request
        success.count, success.total_s = success.count + 1, success.total_s + total_s
        queue.count, queue.total_s = queue.count + 1, queue.total_s + queue_s

    def failed(self, total_s: float) -> None:
        """A job was not."""
        self.fail.add(total_s)

    def ran(self, rows: int, jobs: int, merge_s: float, compute_s: float, split_s: float) -> None:
        """A batch of so many rows, in so many jobs, was run."""
        with self._lock:
            self.runs += 1
            for parts, times in ((self.batches.setdefault(rows, RunStatistics()), 1), (self.jobs, jobs)):
                parts.merge.add(merge_s, times)
                parts.compute.add(compute_s, times)
                parts.split.add(split_s, times)
