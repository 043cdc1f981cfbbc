"""The board *Sensing*: is it right, is it sure, and does the world still look as it did in training?"""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units
from grafana_foundation_sdk.models.common import StackingMode

from deploy.grafana.board import SENSING, Row, board, site
from deploy.grafana.limits import COVERAGE, limit
from deploy.grafana.panels import LABELS_PER_SECOND, METERS, SHARE, Panel, Query, density, lines, tile
from deploy.grafana.promql import mean, quantile, rate, share, share_below
from deploy.grafana.thresholds import band, high_is_good, low_is_good

HERE = 'site=~"$site"'
UNLABELLED = "No labels: POST /v1/labels"  # what panels say that only truth can fill

_ERROR = "cellsense_position_error_meters"
_RANGE = "$__range"  # labels are few: the tiles take all of the time that is shown


def sensing() -> dashboard.Dashboard:
    """The board, for one site, several or all."""
    return board(
        SENSING,
        "cellsense · Sensing",
        "Is it right, is it sure, and does the world still look as it did in training? For the sites chosen above. "
        "What is right is known from the labels that are posted to /v1/labels.",
        [site()],
        [
            Row("Against posted truth, over the time shown", [_figures()], height=4),
            Row("Against posted truth, by site", [_positions(), _classes()]),
            Row("Drift: does the input still look like the training data?", [_drift()]),
            Row("How sure it is", [_confidence(), _trajectories()]),
            Row("Which sensors count", [_gate(), _router(), _sensors()]),
            Row("What it sees", [_sees()]),
        ],
    )


def _over_range(part: str, whole: str) -> str:
    return f"sum(increase({part}[{_RANGE}])) / sum(increase({whole}[{_RANGE}]))"


def _error_over_range(q: float) -> str:
    return f"histogram_quantile({q:g}, sum by (le) (rate({_ERROR}_bucket{{{HERE}}}[{_RANGE}])))"


def _coverage_steps() -> list[tuple[float | None, str]]:
    beyond = limit_of_coverage()
    return list(band(COVERAGE - beyond / 2, COVERAGE + beyond / 2, beyond / 2))


def limit_of_coverage() -> float:
    """How far the coverage may be from what the region promises."""
    return limit("CellsenseRegionsUntrue")


def _figures() -> list[Panel]:
    wrong_m, los, unlike = (limit(f"Cellsense{name}") for name in ("PositionWrong", "LosWrong", "OutOfDistribution"))
    right = {
        "Line of sight right": ("cellsense_los_labels_total", high_is_good(los, (1 + los) / 2)),
        "Activity right": ("cellsense_activity_labels_total", high_is_good(0.8, 0.9)),
    }
    covered = f'cellsense_region_labels_total{{{HERE},covered="true"}}'
    return [
        tile(
            "Position error",
            "Distance from the true position, median and 95th percentile. The median turns red where "
            "CellsensePositionWrong begins.",
            METERS,
            Query(_error_over_range(0.5), "median"),
            Query(_error_over_range(0.95), "p95"),
            steps=low_is_good(wrong_m),
            none=UNLABELLED,
        ),
        tile(
            "Truths in the 90 % region",
            "Should be 90 %. Less: the regions are too small to be trusted. More: they are wider than they need be.",
            SHARE,
            Query(_over_range(covered, f"cellsense_region_labels_total{{{HERE}}}"), "covered"),
            steps=_coverage_steps(),
            none=UNLABELLED,
        ),
        *(
            tile(
                title,
                "Share of the posted labels that the answer agreed with.",
                SHARE,
                Query(_over_range(f'{counter}{{{HERE},correct="true"}}', f"{counter}{{{HERE}}}"), "right"),
                steps=steps,
                none=UNLABELLED,
            )
            for title, (counter, steps) in right.items()
        ),
        tile(
            "Unlike the training data",
            "Share of the frames flagged out of distribution. 1 % is usual: the threshold is set so in validation.",
            SHARE,
            Query(
                _over_range(f"cellsense_ood_frames_total{{{HERE}}}", f"cellsense_ood_score_count{{{HERE}}}"), "flagged"
            ),
            steps=low_is_good(unlike),
            none="No frames",
        ),
    ]


def _positions() -> list[Panel]:
    return [
        lines(
            "Position error, by site",
            "Median and 95th percentile of the distance from the true position. CellsensePositionWrong looks at the "
            "median of 6 h, and begins at the red line.",
            METERS,
            Query(quantile(0.5, _ERROR, "site", HERE), "{{site}} median"),
            Query(quantile(0.95, _ERROR, "site", HERE), "{{site}} p95"),
            steps=low_is_good(limit("CellsensePositionWrong")),
            logarithmic=True,
            none=UNLABELLED,
        ),
        density(
            "Position error, all labels",
            "How the errors are spread. A second band far up is frames without line of sight, or one lost sensor.",
            METERS,
            _ERROR,
            HERE,
            none=UNLABELLED,
        ),
        lines(
            "Truths in the 90 % region, by site",
            "Should stay near 90 %. CellsenseRegionsUntrue looks at 6 h, and begins beyond the outer lines.",
            SHARE,
            Query(
                share(
                    f'cellsense_region_labels_total{{{HERE},covered="true"}}',
                    f"cellsense_region_labels_total{{{HERE}}}",
                    "site",
                ),
                "{{site}}",
            ),
            steps=_coverage_steps(),
            bottom=0.5,
            top=1,
            none=UNLABELLED,
        ),
    ]


def _classes() -> list[Panel]:
    def right(task: str) -> Query:
        counter = f"cellsense_{task}_labels_total"
        return Query(share(f'{counter}{{{HERE},correct="true"}}', f"{counter}{{{HERE}}}", "site"), "{{site}}")

    los = limit("CellsenseLosWrong")
    return [
        lines(
            "Line of sight right, by site",
            "Share of the labels that the answer agreed with. CellsenseLosWrong looks at 6 h, and begins below the "
            "red line.",
            SHARE,
            right("los"),
            steps=high_is_good(los, (1 + los) / 2),
            bottom=0.5,
            top=1,
            none=UNLABELLED,
        ),
        lines(
            "Activity right, by site",
            "Share of the labels that the answer agreed with.",
            SHARE,
            right("activity"),
            bottom=0.5,
            top=1,
            none=UNLABELLED,
        ),
        lines(
            "Labels, by site",
            "Positions, lines of sight and activities posted a second. The fewer, the less the panels beside this say.",
            LABELS_PER_SECOND,
            Query(rate("cellsense_region_labels_total", "site", HERE), "{{site}} position"),
            Query(rate("cellsense_los_labels_total", "site", HERE), "{{site}} line of sight"),
            Query(rate("cellsense_activity_labels_total", "site", HERE), "{{site}} activity"),
            none=UNLABELLED,
        ),
    ]


def _drift() -> list[Panel]:
    confidence = "site_task:cellsense_confidence:mean_rate15m"
    return [
        lines(
            "Unlike the training data, by site",
            "Share of the frames flagged out of distribution; 1 % is usual. CellsenseOutOfDistribution looks at 15 min "
            "and begins at the red line.",
            SHARE,
            Query(
                share(f"cellsense_ood_frames_total{{{HERE}}}", f"cellsense_ood_score_count{{{HERE}}}", "site"),
                "{{site}}",
            ),
            steps=low_is_good(limit("CellsenseOutOfDistribution")),
        ),
        lines(
            "Distance from the training data, by site",
            "Median and 95th percentile of the score; about 1 is like the training data. A slow climb is a change of "
            "season or of hardware, a jump is a broken sensor or a new artifact.",
            units.Short,
            Query(quantile(0.5, "cellsense_ood_score", "site", HERE), "{{site}} median"),
            Query(quantile(0.95, "cellsense_ood_score", "site", HERE), "{{site}} p95"),
        ),
        lines(
            "Confidence against its own day",
            "Mean confidence of 15 min over that of the last day. CellsenseConfidenceDropped begins at the red line.",
            SHARE,
            Query(
                f"sum by (site, task) ({confidence}{{{HERE}}}) / "
                f"sum by (site, task) (avg_over_time({confidence}{{{HERE}}}[1d]))",
                "{{site}} {{task}}",
            ),
            bottom=0.5,
            steps=high_is_good(limit("CellsenseConfidenceDropped"), 0.95),
        ),
    ]


def _confidence() -> list[Panel]:
    return [
        lines(
            "Confidence, by site and task",
            "Mean calibrated probability of what was answered. It should agree with the share that is right.",
            SHARE,
            Query(mean("cellsense_confidence", "site, task", HERE), "{{site}} {{task}}"),
            bottom=0.5,
            top=1,
        ),
        density(
            "Confidence, all answers",
            "How the confidences are spread, over all tasks. A band in the middle: the model cannot tell.",
            SHARE,
            "cellsense_confidence",
            HERE,
        ),
    ]


def _trajectories() -> list[Panel]:
    return [
        lines(
            "Size of the 90 % region, by site",
            "Median and 95th percentile of its semi-major axis: how exact the service says that it is.",
            METERS,
            Query(quantile(0.5, "cellsense_region_semi_major_meters", "site", HERE), "{{site}} median"),
            Query(quantile(0.95, "cellsense_region_semi_major_meters", "site", HERE), "{{site}} p95"),
            logarithmic=True,
        ),
        lines(
            "Frames behind an answer, by site",
            "Mean length of the trajectory that went into an answer. It is 1 without Redis, or where UEs send one "
            "frame and leave.",
            units.Short,
            Query(mean("cellsense_trajectory_length", "site", HERE), "{{site}}"),
        ),
    ]


def _gate() -> list[Panel]:
    panel = lines(
        "Weight of each sensor · $site",
        "Mean weight of the modality in the fusion; they sum to 1. A sensor that dies loses its weight: "
        "CellsenseModalityLost.",
        SHARE,
        Query(mean("cellsense_gate_weight", "modality", HERE), "{{modality}}"),
        stacked=StackingMode.NORMAL,
        top=1,
    )
    return [panel.repeat("site").repeat_direction("h").max_per_row(4)]


def _router() -> list[Panel]:
    panel = lines(
        "Weight of each radio cue, by carrier · $site",
        "Mean weight of the cue in what the router passes on; those of a carrier sum to 1. The cues that are trusted "
        "differ from carrier to carrier; one that loses its weight on all of them is no longer measured well.",
        SHARE,
        Query(mean("cellsense_router_weight", "carrier, cue", HERE), "{{carrier}} {{cue}}"),
        top=1,
        none="No radio model",
    )
    return [panel.repeat("site").repeat_direction("h").max_per_row(4)]


def _sensors() -> list[Panel]:
    weight = "cellsense_gate_weight"
    return [
        lines(
            "Frames led by one sensor",
            "Share of the frames in which the modality has more than half of the weight.",
            SHARE,
            Query(f"1 - {share_below('0.5', weight, 'site, modality', HERE)}", "{{site}} {{modality}}"),
            top=1,
        ),
        lines(
            "Frames without a sensor",
            "Share of the frames in which the modality has no weight at all: it was not sent, or could not be used.",
            SHARE,
            Query(share_below("0.0", weight, "site, modality", HERE), "{{site}} {{modality}}"),
            top=1,
        ),
    ]


def _sees() -> list[Panel]:
    def mix(counter: str, label: str) -> str:
        by_label, by_site = (rate(counter, by, HERE) for by in (f"site, {label}", "site"))
        return f"{by_label} / ignoring ({label}) group_left {by_site}"

    return [
        lines(
            "Line of sight, by site",
            "Share of the frames that are answered as line of sight. A step is a new blocker, or a turned antenna.",
            SHARE,
            Query(
                share(
                    f'cellsense_los_frames_total{{{HERE},line_of_sight="true"}}',
                    f"cellsense_los_frames_total{{{HERE}}}",
                    "site",
                ),
                "{{site}}",
            ),
            top=1,
        ),
        lines(
            "Activities, by site",
            "Share of each activity among the answers. One that takes over all of it is a model that has lost its way.",
            SHARE,
            Query(mix("cellsense_activity_frames_total", "activity"), "{{site}} {{activity}}"),
            top=1,
        ),
    ]
