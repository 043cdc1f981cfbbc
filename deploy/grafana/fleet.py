"""The board *Fleet*: which site or replica is unlike the others, and what changed?"""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units
from grafana_foundation_sdk.models.common import StackingMode

from deploy.grafana.board import FIRING, FLEET, SENSING, SERVICE, Row, board, ready_share, replica, site
from deploy.grafana.limits import DEADLINE_S, limit
from deploy.grafana.panels import CORES, FRAMES_PER_SECOND, METERS, SHARE, Panel, Query, lines, link, states, tile
from deploy.grafana.promql import rate, share, total
from deploy.grafana.tables import Column, rows
from deploy.grafana.thresholds import BAD, GOOD, NEAR, high_is_good, low_is_good

REPLICA = 'instance=~"$replica"'
SITE = 'site=~"$site"'
UP = f'up{{job="cellsense",{REPLICA}}}'

_P99 = f"max by (instance) (instance:cellsense_sense_duration_seconds:p99_5m{{{REPLICA}}})"
_WAIT = f"max by (instance) (instance:cellsense_queue_duration_seconds:p95_1m{{{REPLICA}}})"


def fleet() -> dashboard.Dashboard:
    """The board, for some or all sites and replicas."""
    return board(
        FLEET,
        "cellsense · Fleet",
        "Which site or replica is unlike the others, and what changed? A row of a table leads to the board of its own.",
        [site(), replica()],
        [
            Row("Now", [_now()], height=4),
            Row("Replicas", [[_replicas()], [_states(), _load()]], height=6),
            Row("Replicas beside each other", [_beside()]),
            Row("Sites", [[_sites()], _by_site()], height=6),
            Row("What changed", [_changes()], height=7),
        ],
    )


def _now() -> list[Panel]:
    failed = limit("CellsenseFramesFailing")
    return [
        tile(
            "Replicas ready",
            "Share of the replicas that Prometheus knows whose processes are all warm. The others are in the table "
            "below.",
            SHARE,
            Query(ready_share(REPLICA), "ready"),
            steps=high_is_good(1, 1),
            none="No replica",
        ),
        tile(
            "Sites served and sending",
            "Sites that some replica serves, and those that sent frames in the last five minutes.",
            units.Short,
            Query(f"count(count by (site) (cellsense_artifact_info{{{SITE}}}))", "served"),
            Query(f"count(site:cellsense_frames:rate5m{{{SITE}}} > 0) or vector(0)", "sending"),
        ),
        tile(
            "Frames",
            "Sensing frames answered a second at the chosen sites, well or not.",
            FRAMES_PER_SECOND,
            Query(f"sum(site:cellsense_frames:rate5m{{{SITE}}})", "frames"),
        ),
        tile(
            "Frames that fail",
            "Share of the frames that failed by our fault. CellsenseFramesFailing begins at the red edge.",
            SHARE,
            Query("job:cellsense_frames_failed:ratio_rate5m", "failed"),
            steps=low_is_good(failed),
            none="No frames",
        ),
        tile(
            "Slowest replica",
            "The greatest 99th percentile of POST /v1/sense among the replicas.",
            units.Seconds,
            Query(f"max({_P99})", "p99"),
            steps=low_is_good(2 * DEADLINE_S, DEADLINE_S),
            none="Idle",
        ),
        tile(
            "Alerts",
            "Alerts that fire now. What to do is in deploy/RUNBOOK.md.",
            units.Short,
            Query(f"count({FIRING}) or vector(0)", "firing"),
            steps=[(None, GOOD), (1, BAD)],
        ),
    ]


def _replicas() -> Panel:
    requests = f'{REPLICA},route="/v1/sense"'
    failed = share(
        f'cellsense_request_duration_seconds_count{{{requests},status=~"5.."}}',
        f"cellsense_request_duration_seconds_count{{{requests}}}",
        "instance",
    )
    ready = f"sum by (instance) (cellsense_ready{{{REPLICA}}})"
    return rows(
        "Each replica",
        "One line a replica; its name leads to its Service board. Red is beyond the limit of an alert.",
        {"instance": "Replica", "version": "Version", "commit": "Commit"},
        [
            Column("Reached", f"max by (instance) ({UP})", steps=high_is_good(1, 1)),
            Column("Ready", ready, steps=high_is_good(1, 1)),
            Column("Processes", f"sum by (instance) (cellsense_workers{{{REPLICA}}})"),
            Column("Frames", f"sum by (instance) (instance:cellsense_frames:rate5m{{{REPLICA}}})", FRAMES_PER_SECOND),
            Column("Failed requests", failed, SHARE, low_is_good(limit("CellsenseErrorsSlow"))),
            Column("p99", _P99, units.Seconds, low_is_good(2 * DEADLINE_S, DEADLINE_S)),
            Column("Wait p95", _WAIT, units.Seconds, low_is_good(limit("CellsenseQueueSlow"))),
            Column("Processor", rate("cellsense_process_cpu_seconds_total", "instance", REPLICA), CORES),
            Column("Memory", total("cellsense_process_resident_memory_bytes", "instance", REPLICA), units.BytesIEC),
            Column(
                "Up for",
                f"time() - max by (instance) (cellsense_process_start_time_seconds{{{REPLICA}}})",
                units.Seconds,
            ),
            Column("Redis", f"min by (instance) (cellsense_redis_up{{{REPLICA}}})", steps=high_is_good(1, 1)),
            Column("Build", f"max by (instance, version, commit) (cellsense_build_info{{{REPLICA}}})", None),
        ],
        {"Replica": link("Service board of this replica", SERVICE, "replica")},
    )


def _states() -> Panel:
    reached = f"max by (instance) ({UP})"
    warm = f"min by (instance) (cellsense_ready{{{REPLICA}}} >= bool cellsense_workers{{{REPLICA}}})"
    return states(
        "State of each replica",
        "Down: Prometheus does not reach it. Warming up: not every process of it is ready.",
        Query(f"{reached} + ({warm} or 0 * {reached})", "{{instance}}"),
        [("down", BAD), ("warming up", NEAR), ("ready", GOOD)],
    )


def _load() -> Panel:
    return lines(
        "Frames, by replica",
        "Who carries the load. Unequal shares: connections stick to a replica, or one is slower than the others.",
        FRAMES_PER_SECOND,
        Query(rate("cellsense_frames_total", "instance", REPLICA), "{{instance}}"),
        stacked=StackingMode.NORMAL,
    )


def _beside() -> list[Panel]:
    return [
        lines(
            "Slowest 1 %, by replica",
            "99th percentile of POST /v1/sense over 5 min. The red line is twice what a controller waits.",
            units.Seconds,
            Query(_P99, "{{instance}}"),
            steps=low_is_good(2 * DEADLINE_S, DEADLINE_S),
            logarithmic=True,
        ),
        lines(
            "Wait for a model, by replica",
            "95th percentile over 1 min: what the autoscaler follows. CellsenseQueueSlow begins at the red line.",
            units.Seconds,
            Query(_WAIT, "{{instance}}"),
            steps=low_is_good(limit("CellsenseQueueSlow")),
        ),
        lines(
            "Processor, by replica",
            "Cores in use. A flat top is the container's quota.",
            CORES,
            Query(rate("cellsense_process_cpu_seconds_total", "instance", REPLICA), "{{instance}}"),
        ),
    ]


def _sites() -> Panel:
    def of_site(series: str) -> str:
        return f"max by (site) ({series}{{{SITE}}})"

    failed = share(f'cellsense_frames_total{{{SITE},status=~"5.."}}', f"cellsense_frames_total{{{SITE}}}", "site")
    los = limit("CellsenseLosWrong")
    median_m = of_site("site:cellsense_position_error_meters:median_6h")
    return rows(
        "Each site",
        "One line a site; its name leads to its Sensing board. What is right is known from labels of the last 6 h.",
        {"site": "Site", "artifact": "Artifact", "version": "Version"},
        [
            Column("Frames", of_site("site:cellsense_frames:rate5m"), FRAMES_PER_SECOND),
            Column("Failed", failed, SHARE, low_is_good(limit("CellsenseFramesFailing"))),
            Column("Median error", median_m, METERS, low_is_good(limit("CellsensePositionWrong"))),
            Column("In 90 % region", of_site("site:cellsense_region_covered:ratio_rate6h"), SHARE),
            Column("LoS right", of_site("site:cellsense_los_correct:ratio_rate6h"), SHARE, high_is_good(los, los)),
            Column(
                "Unlike training",
                of_site("site:cellsense_ood_frames:ratio_rate15m"),
                SHARE,
                low_is_good(limit("CellsenseOutOfDistribution")),
            ),
            Column("Artifact", f"max by (site, artifact, version) (cellsense_artifact_info{{{SITE}}})", None),
        ],
        {"Site": link("Sensing board of this site", SENSING, "site")},
    )


def _by_site() -> list[Panel]:
    def of_site(series: str) -> Query:
        return Query(f"max by (site) ({series}{{{SITE}}})", "{{site}}")

    return [
        lines(
            "Frames, by site",
            "A site that falls silent: CellsenseSiteSilent.",
            FRAMES_PER_SECOND,
            Query(rate("cellsense_frames_total", "site", SITE), "{{site}}"),
            stacked=StackingMode.NORMAL,
        ),
        lines(
            "Median position error, by site",
            "Over 6 h of labels. CellsensePositionWrong begins at the red line.",
            METERS,
            of_site("site:cellsense_position_error_meters:median_6h"),
            steps=low_is_good(limit("CellsensePositionWrong")),
            none="No labels: POST /v1/labels",
        ),
        lines(
            "Unlike the training data, by site",
            "Share of the frames of 15 min. One site: its sensors or its street changed. All: the artifact did.",
            SHARE,
            of_site("site:cellsense_ood_frames:ratio_rate15m"),
            steps=low_is_good(limit("CellsenseOutOfDistribution")),
        ),
    ]


def _changes() -> list[Panel]:
    artifacts = f"count by (site, artifact, version) (cellsense_artifact_info{{{SITE},{REPLICA}}})"
    firing = f'count by (severity) ({FIRING}) or label_replace(vector(0), "severity", "none", "", "")'
    return [
        lines(
            "Replicas, by build",
            "A roll-out is one colour giving way to another. Two colours for long: CellsenseMixedBuilds.",
            units.Short,
            Query(f"count by (version, commit) (cellsense_build_info{{{REPLICA}}})", "{{version}} {{commit}}"),
            stacked=StackingMode.NORMAL,
        ),
        lines(
            "Replicas, by site and artifact",
            "Which artifact answers for a site. Two for one site for long: CellsenseMixedArtifacts.",
            units.Short,
            Query(artifacts, "{{site}}: {{artifact}} {{version}}"),
        ),
        lines(
            "Alerts, by severity",
            "How many fired, and when. `none` stays at 0.",
            units.Short,
            Query(firing, "{{severity}}"),
            colors={"critical": "red", "warning": "orange", "none": "green"},
        ),
    ]
