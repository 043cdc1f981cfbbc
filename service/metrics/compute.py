"""Where the time goes: stages, queues, batches."""

from __future__ import annotations

from service.metrics.families import Families
from service.metrics.traffic import SECONDS

STAGES = (
    "parse",
    "queue",
    "normalise",
    "queue_encode",
    "encode",
    "buffer",
    "queue_fuse",
    "fuse",
    "decode",
    "serialise",
)
FINE_SECONDS = (0.0001, 0.00025, 0.0005, *SECONDS)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ComputeMetrics:
    """Stages are counted once a request, runs of a model once a batch of requests."""

    def __init__(self, families: Families) -> None:
        self.stage_duration = families.histogram(
            "stage_duration_seconds",
            "Time that a request spent in one stage of its path: " + ", ".join(STAGES) + ". A request whose frames "
            "belong to several artifacts counts once for each from `queue_encode` to `decode`.",
            ["stage"],
            buckets=FINE_SECONDS,
        )
        self.batch_rows = families.histogram(
            "batch_rows",
            "Rows of one run of a model: a graph of an artifact, such as `gated-fusion-encode`.",
            ["model"],
            buckets=ROWS,
        )
        self.queue_rows = families.gauge(
            "queue_rows",
            "Rows that wait for a model now; `sense`: frames of `/v1/sense` that wait for their turn.",
            ["model"],
        )
        self.queue_duration = families.histogram(
            "queue_duration_seconds",
            "Longest time that a request of a batch waited for its model, once a run; `sense`: for its turn.",
            ["model"],
            buckets=FINE_SECONDS,
        )
        self.compute_duration = families.histogram(
            "compute_duration_seconds",
            "Time that one run of a model took in the engine, without the wait for it and without the putting together "
            "of what it was given.",
            ["model"],
            buckets=FINE_SECONDS,
        )
        for stage in STAGES:
            self.stage_duration.labels(stage)
