"""The board *Service*: is it fast, does it answer, what is it short of?"""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units
from grafana_foundation_sdk.models.common import StackingMode

from deploy.grafana.board import FIRING, SERVICE, Row, board, ready_share, replica
from deploy.grafana.limits import DEADLINE_S, limit
from deploy.grafana.panels import CORES, FRAMES_PER_SECOND, SHARE, Panel, Query, bars, density, lines, states, tile
from deploy.grafana.promql import mean, quantile, rate, share, share_below, total
from deploy.grafana.tables import Column, rows
from deploy.grafana.thresholds import BAD, GOOD, high_is_good, low_is_good

HERE = 'instance=~"$replica"'
SENSE = f'{HERE},route="/v1/sense"'
BY_STATUS = {"/^2/": "green", "/^4/": "orange", "/^5/": "red"}

_REQUESTS = "cellsense_request_duration_seconds"
_STAGES = "cellsense_stage_duration_seconds"
_WAITS = "cellsense_queue_duration_seconds"
_REDIS = "cellsense_redis_duration_seconds"


def service() -> dashboard.Dashboard:
    """The board, for one replica, several or all."""
    return board(
        SERVICE,
        "cellsense · Service",
        "Is it fast, does it answer, what is it short of? For the replicas chosen above.",
        [replica()],
        [
            Row("Now", [_now()], height=4),
            Row("Traffic and errors", [_traffic(), _errors()]),
            Row("Latency", [_latency()]),
            Row("Where the time goes", [_stages()]),
            Row("Saturation", [_queues(), _resources()]),
            Row("Redis, which remembers the trajectories", [_redis()], height=7),
            Row("What runs", [_running()], height=7),
        ],
    )


def _now() -> list[Panel]:
    errors = share(f'{_REQUESTS}_count{{{SENSE},status=~"5.."}}', f"{_REQUESTS}_count{{{SENSE}}}", "job")
    fast, slow_share = share_below(f"{DEADLINE_S:g}", _REQUESTS, "job", SENSE), limit("CellsenseSlow")
    wait_s, failing = limit("CellsenseQueueSlow"), limit("CellsenseErrorsSlow")
    return [
        tile(
            "Replicas ready",
            "Share of the replicas that Prometheus knows whose processes are all warm. The others are down or still "
            "warm up: the Fleet board says which.",
            SHARE,
            Query(ready_share(HERE), "ready"),
            steps=high_is_good(1, 1),
            none="No replica",
        ),
        tile(
            "Frames",
            "Sensing frames answered a second, well or not.",
            FRAMES_PER_SECOND,
            Query(rate("cellsense_frames_total", "", HERE), "frames"),
        ),
        tile(
            "Availability",
            "Share of POST /v1/sense whose status is not 5xx. The objective is 99.5 % over 30 days.",
            SHARE,
            Query(f"1 - ({errors})", "well"),
            steps=high_is_good(1 - failing, 0.995),
            none="No requests",
        ),
        tile(
            f"Answered within {DEADLINE_S * 1000:g} ms",
            "Share of POST /v1/sense answered while a controller still waits. CellsenseSlow is at the red edge.",
            SHARE,
            Query(fast, "in time"),
            steps=high_is_good(1 - slow_share, 1 - slow_share / 2),
            none="No requests",
        ),
        tile(
            "Wait for a model",
            "95th percentile of the time that frames wait before a model runs. It grows first when load exceeds "
            "what the replicas can do; the autoscaler follows it.",
            units.Seconds,
            Query(quantile(0.95, _WAITS, "", HERE), "p95"),
            steps=low_is_good(wait_s),
            none="Idle",
        ),
        tile(
            "Alerts",
            "Alerts that fire now, of the whole fleet. What to do is in deploy/RUNBOOK.md.",
            units.Short,
            Query(f"count({FIRING}) or vector(0)", "firing"),
            steps=[(None, GOOD), (1, BAD)],
        ),
    ]


def _traffic() -> list[Panel]:
    return [
        lines(
            "Requests, by route",
            "Requests answered a second, less those for health and metrics. A route is a template; `unmatched` is what "
            "no route took.",
            units.RequestsPerSecond,
            Query(rate(f"{_REQUESTS}_count", "route", f'{HERE},route!~"/(metrics|healthz|readyz)"'), "{{route}}"),
            stacked=StackingMode.NORMAL,
        ),
        lines(
            "Frames, by site",
            "Frames answered a second, well or not. `unknown`: a controller asks for a site that is not served here.",
            FRAMES_PER_SECOND,
            Query(rate("cellsense_frames_total", "site", HERE), "{{site}}"),
            stacked=StackingMode.NORMAL,
        ),
    ]


def _errors() -> list[Panel]:
    return [
        lines(
            "Frames, by status",
            "Share of the frames by the status each was answered with, as if it were a request. 2xx is well, 4xx the "
            "caller's fault, 5xx ours.",
            SHARE,
            Query(
                f"{rate('cellsense_frames_total', 'status', HERE)}"
                f" / ignoring (status) group_left {rate('cellsense_frames_total', '', HERE)}",
                "{{status}}",
            ),
            stacked=StackingMode.NORMAL,
            top=1,
            colors=BY_STATUS,
        ),
        lines(
            "Shed, failed and degraded, by reason",
            "Shed: turned away by load. Failed: refused or broken. Degraded: answered without a part that was down. "
            "All are 0 on a good day.",
            "suffix:/s",
            Query(rate("cellsense_requests_shed_total", "reason", HERE), "request shed: {{reason}}"),
            Query(rate("cellsense_frames_shed_total", "reason", HERE), "shed: {{reason}}"),
            Query(rate("cellsense_frames_failed_total", "reason", HERE), "failed: {{reason}}"),
            Query(rate("cellsense_frames_degraded_total", "reason", HERE), "degraded: {{reason}}"),
        ),
    ]


def _latency() -> list[Panel]:
    deadline = low_is_good(DEADLINE_S)
    return [
        lines(
            "Time to answer",
            f"Quantiles of POST /v1/sense. The red line is the {DEADLINE_S * 1000:g} ms that a controller waits.",
            units.Seconds,
            *(Query(quantile(q, _REQUESTS, "", SENSE), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)),
            steps=deadline,
            logarithmic=True,
        ),
        density(
            "Time to answer, all requests",
            "How the times of POST /v1/sense are spread. Two bands are two kinds of request, or two kinds of replica.",
            units.Seconds,
            _REQUESTS,
            SENSE,
        ),
        lines(
            "Slowest 1 %, by replica",
            "99th percentile of POST /v1/sense. One line above the others is one replica to look at.",
            units.Seconds,
            Query(quantile(0.99, _REQUESTS, "instance", SENSE), "{{instance}}"),
            steps=deadline,
            logarithmic=True,
        ),
    ]


def _stages() -> list[Panel]:
    whole = f"sum(rate({_STAGES}_sum{{{HERE}}}[$__rate_interval]))"
    return [
        lines(
            "Mean time in each stage",
            "Stacked: the height is about the mean time of a request. queue (for a turn), queue_encode and queue_fuse "
            "are waits, the rest is work.",
            units.Seconds,
            Query(mean(_STAGES, "stage", HERE), "{{stage}}"),
            stacked=StackingMode.NORMAL,
        ),
        lines(
            "Slow requests in each stage",
            "95th percentile of the time in each stage: the stage that grows with the load is the one to mend.",
            units.Seconds,
            Query(quantile(0.95, _STAGES, "stage", HERE), "{{stage}}"),
            logarithmic=True,
        ),
        bars(
            "Share of the time",
            "Which part of the time of all requests each stage takes now.",
            SHARE,
            Query(f"sort_desc({rate(f'{_STAGES}_sum', 'stage', HERE)} / scalar({whole}))", "{{stage}}"),
        ),
    ]


def _queues() -> list[Panel]:
    wait_s = limit("CellsenseQueueSlow")
    return [
        lines(
            "Wait for each model",
            "Time before a batch runs, or a turn of /v1/sense begins (sense), p50 and p95. CellsenseQueueSlow begins "
            "at the red line.",
            units.Seconds,
            Query(quantile(0.5, _WAITS, "model", HERE), "{{model}} p50"),
            Query(quantile(0.95, _WAITS, "model", HERE), "{{model}} p95"),
            steps=low_is_good(wait_s),
            logarithmic=True,
        ),
        lines(
            "Rows that wait",
            "Frames in front of each model, and of their turn (sense), at the moment of the scrape. At "
            "CELLSENSE_MAX_QUEUE_ROWS load is shed.",
            units.Short,
            Query(total("cellsense_queue_rows", "model", HERE), "{{model}}"),
        ),
        lines(
            "Rows of a run",
            "Frames that a model takes at once: mean and p95. Larger batches use the machine better, and mean load.",
            units.Short,
            Query(mean("cellsense_batch_rows", "model", HERE), "{{model}} mean"),
            Query(quantile(0.95, "cellsense_batch_rows", "model", HERE), "{{model}} p95"),
        ),
    ]


def _resources() -> list[Panel]:
    return [
        lines(
            "Requests in flight, by replica",
            "Requests being answered at the moment of the scrape. Steady growth: answers come slower than requests.",
            units.Short,
            Query(total("cellsense_requests_in_flight", "instance", HERE), "{{instance}}"),
        ),
        lines(
            "Processor, by replica",
            "Cores in use. A flat top is the container's quota.",
            CORES,
            Query(rate("cellsense_process_cpu_seconds_total", "instance", HERE), "{{instance}}"),
        ),
        lines(
            "Memory, by replica",
            "Resident memory of the processes together, and where there is a CUDA device, what is in use on it. It "
            "rises to a plateau; a steady climb is a leak.",
            units.BytesIEC,
            Query(total("cellsense_process_resident_memory_bytes", "instance", HERE), "{{instance}}"),
            Query(total("cellsense_device_memory_used_bytes", "instance, device", HERE), "{{instance}} {{device}}"),
        ),
    ]


def _redis() -> list[Panel]:
    return [
        states(
            "Redis reached, by replica",
            "Asked every second. While it is not reached, frames are answered alone, less exactly.",
            Query(f"min by (instance) (cellsense_redis_up{{{HERE}}})", "{{instance}}"),
            [("not reached", BAD), ("reached", GOOD)],
        ),
        lines(
            "Time of a call",
            "99th percentile by what the call is for; `ping` is the service's own watch. CellsenseRedisSlow begins at "
            "the red line.",
            units.Seconds,
            Query(quantile(0.99, _REDIS, "operation", HERE), "{{operation}}"),
            steps=low_is_good(limit("CellsenseRedisSlow")),
            logarithmic=True,
        ),
        lines(
            "Calls that fail",
            "Calls of Redis that failed or took too long, by what they were for. 0 on a good day.",
            "suffix:/s",
            Query(
                f"{rate('cellsense_redis_errors_total', 'operation', HERE)}"
                f" or 0 * {rate(f'{_REDIS}_count', 'operation', HERE)}",
                "{{operation}}",
            ),
        ),
        lines(
            "Frames answered alone",
            "Share of the frames answered without their trajectory. CellsenseDegraded begins at the red line.",
            SHARE,
            Query(
                share(f"cellsense_frames_degraded_total{{{HERE}}}", f"cellsense_frames_total{{{HERE}}}", "job"),
                "degraded",
            ),
            steps=low_is_good(limit("CellsenseDegraded")),
        ),
    ]


def _running() -> list[Panel]:
    builds = "version, commit, python, onnxruntime"
    return [
        rows(
            "Builds",
            "Builds of the service among the replicas. More than one is a roll-out, or one that got stuck.",
            {"version": "Version", "commit": "Commit", "python": "Python", "onnxruntime": "ONNX Runtime"},
            [Column("Replicas", f"count by ({builds}) (cellsense_build_info{{{HERE}}})")],
        ),
        rows(
            "Artifacts",
            "The artifact that answers for each site, and the provider that runs it.",
            {"site": "Site", "artifact": "Artifact", "version": "Version", "provider": "Provider"},
            [Column("Replicas", f"count by (site, artifact, version, provider) (cellsense_artifact_info{{{HERE}}})")],
        ),
        lines(
            "Replicas, by build",
            "What changed, and when: a roll-out is one colour giving way to another.",
            units.Short,
            Query(f"count by (version, commit) (cellsense_build_info{{{HERE}}})", "{{version}} {{commit}}"),
            stacked=StackingMode.NORMAL,
        ),
    ]
