"""What a batch of answers says, as metrics: a few calls a site and a batch, whatever the number of frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from service.contract.labels import CUES, MODALITIES
from service.metrics import Metrics
from service.metrics.sensing import carrier_label
from service.pipeline.answers import Answer


def observe_answers(metrics: Metrics, answers: Iterable[Answer]) -> None:
    """Count answers of any sites."""
    by_site: dict[str, list[Answer]] = {}
    for answer in answers:
        by_site.setdefault(answer.site, []).append(answer)
        for part in answer.degraded:
            metrics.traffic.frames_degraded.labels(part).inc()
    for site, group in by_site.items():
        _observe_explanations(metrics, site, group)
        _observe_tasks(metrics, site, group)


def _observe_explanations(metrics: Metrics, site: str, answers: list[Answer]) -> None:
    sensing, reasons = metrics.sensing, [answer.explanation for answer in answers]
    if gates := [reason.gate for reason in reasons if reason.gate is not None]:
        for modality in MODALITIES:
            sensing.gate_weight.labels(site, modality).observe_many([gate[modality] for gate in gates])
    routed: dict[str, list[dict[str, float]]] = {}
    for reason in reasons:
        if reason.cues is not None and reason.carrier_hz is not None:
            routed.setdefault(carrier_label(reason.carrier_hz), []).append(reason.cues)
    for carrier, weights in routed.items():
        for cue in CUES:
            sensing.router_weight.labels(site, carrier, cue).observe_many([each[cue] for each in weights])
    sensing.ood_score.labels(site).observe_many([reason.ood_score for reason in reasons])
    sensing.trajectory_length.labels(site).observe_many([reason.trajectory_length for reason in reasons])
    sensing.ood_frames.labels(site).inc(sum(reason.out_of_distribution for reason in reasons))


def _observe_tasks(metrics: Metrics, site: str, answers: list[Answer]) -> None:
    sensing = metrics.sensing
    if positions := [answer.position for answer in answers if answer.position is not None]:
        semi_major_m = [position.region.semi_major_m for position in positions]
        sensing.region_semi_major.labels(site).observe_many(semi_major_m)
    if paths := [answer.los for answer in answers if answer.los is not None]:
        sensing.confidence.labels(site, "los").observe_many([max(p.probability, 1 - p.probability) for p in paths])
        for clear, frames in Counter(path.line_of_sight for path in paths).items():
            sensing.los_frames.labels(site, str(clear).lower()).inc(frames)
    if activities := [answer.activity for answer in answers if answer.activity is not None]:
        sensing.confidence.labels(site, "activity").observe_many([activity.probability for activity in activities])
        for label, frames in Counter(activity.label for activity in activities).items():
            sensing.activity_frames.labels(site, label).inc(frames)
