"""Requests and frames: how many, how fast, how they ended."""

from __future__ import annotations

from collections.abc import Iterable

from service.metrics.families import Families

# Around the deadlines that controllers set, from a millisecond to seconds.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
UNKNOWN_SITE = "unknown"


class TrafficMetrics:
    """What a load balancer or a load generator could count too, and must find equal."""

    def __init__(self, families: Families) -> None:
        self.request_duration = families.histogram(
            "request_duration_seconds",
            "Time from the head of a request to the head of its answer, its body included. `route` is the template "
            "of the path, `unmatched` where there is none.",
            ["route", "method", "status"],
            buckets=SECONDS,
        )
        self.requests_in_flight = families.gauge(
            "requests_in_flight", "Requests that are being answered now, less those for health and metrics."
        )
        self.requests_shed = families.counter(
            "requests_shed_total",
            "Requests turned away whole, before their frames were looked at: `memory` (too many bytes in flight), "
            "`not_ready`, `shutdown`, or for a trajectory also `queue` and `buffer`.",
            ["reason"],
        )
        self.frames = families.counter(
            "frames_total",
            "Frames by the status they were answered with, as if each were a request; 499 where the client went away. "
            "The site is `unknown` where no manifest names it, or where the frame could not be read.",
            ["site", "status"],
        )
        self.frames_shed = families.counter(
            "frames_shed_total",
            "Frames not answered though nothing is wrong with them: `queue` (full), `deadline` (passed), `shutdown`.",
            ["reason"],
        )
        self.frames_failed = families.counter(
            "frames_failed_total",
            "Frames not answered for any other reason: the kind of their problem, e.g. `invalid_input`, "
            "`inference_failed`.",
            ["reason"],
        )
        self.frames_degraded = families.counter(
            "frames_degraded_total",
            "Frames answered without a part that was down: `trajectory` (no Redis, so each frame alone).",
            ["reason"],
        )

    def expect(self, sites: Iterable[str]) -> None:
        """Start the series of every site from 0, so that the first increase is seen as one."""
        for site in sites:
            self.frames.labels(site, "200")
        for reason in ("queue", "deadline", "shutdown"):
            self.frames_shed.labels(reason)
        for reason in ("memory", "not_ready", "shutdown"):
            self.requests_shed.labels(reason)
        for reason in ("invalid_input", "inference_failed"):
            self.frames_failed.labels(reason)
        self.frames_degraded.labels("trajectory")
