"""What the answers say, for drift, and how true they were, where truth was posted later."""

from __future__ import annotations

from service.contract.labels import ACTIVITIES, CUES, MODALITIES
from service.contract.sites import Site
from service.contract.tensors import CONTRACTS, RADIO, Contract
from service.metrics.families import Families

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CONFIDENCES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
OOD_SCORES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 100.0)
METERS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, 200.0)
TRUTHS = ("true", "false")


def carrier_label(carrier_hz: float) -> str:
    """A carrier as the value of a label."""
    return f"{carrier_hz / 1e9:g}GHz"


class SensingMetrics:
    """By site; sites and their carriers come from manifests, never from requests."""

    def __init__(self, families: Families) -> None:
        self.gate_weight = families.histogram(
            "gate_weight",
            "Weight of each modality in the fusion of a frame; a missing modality has 0, alone in the first bucket.",
            ["site", "modality"],
            buckets=WEIGHTS,
        )
        self.router_weight = families.histogram(
            "router_weight",
            "Weight of each cue of a radio frame, as routed, by carrier; a missing cue has 0.",
            ["site", "carrier", "cue"],
            buckets=WEIGHTS,
        )
        self.confidence = families.histogram(
            "confidence",
            "Calibrated probability of the class that was answered, by task (`los`, `activity`).",
            ["site", "task"],
            buckets=CONFIDENCES,
        )
        self.region_semi_major = families.histogram(
            "region_semi_major_meters", "Semi-major axis of the 90 % region of a position.", ["site"], buckets=METERS
        )
        self.ood_score = families.histogram(
            "ood_score",
            "Distance of a frame from the training data, about 1 for data like it.",
            ["site"],
            buckets=OOD_SCORES,
        )
        self.ood_frames = families.counter(
            "ood_frames_total", "Answered frames flagged as unlike the training data.", ["site"]
        )
        self.los_frames = families.counter(
            "los_frames_total", "Frames by the line of sight that was answered.", ["site", "line_of_sight"]
        )
        self.activity_frames = families.counter(
            "activity_frames_total", "Frames by the activity that was answered.", ["site", "activity"]
        )
        self.trajectory_length = families.histogram(
            "trajectory_length",
            "Frames of its UE that went into an answer.",
            ["site"],
            buckets=range(1, max(contract.steps for contract in CONTRACTS.values()) + 1),
        )

    def expect(self, site: Site, contract: Contract) -> None:
        """Start the series of a site from 0."""
        if contract is RADIO:
            for carrier_hz in site.carriers:
                for cue in CUES:
                    self.router_weight.labels(site.name, carrier_label(carrier_hz), cue)
        else:
            for modality in MODALITIES:
                self.gate_weight.labels(site.name, modality)
        for family in (self.ood_score, self.ood_frames, self.trajectory_length):
            family.labels(site.name)
        if "position" in site.tasks:
            self.region_semi_major.labels(site.name)
        if "los" in site.tasks:
            self.confidence.labels(site.name, "los")
            for truth in TRUTHS:
                self.los_frames.labels(site.name, truth)
        if "activity" in site.tasks:
            self.confidence.labels(site.name, "activity")
            for activity in ACTIVITIES:
                self.activity_frames.labels(site.name, activity)


class TruthMetrics:
    """Answers against the truth that was posted to `/v1/labels`. A label that is sent again counts once."""

    def __init__(self, families: Families) -> None:
        self.position_error = families.histogram(
            "position_error_meters",
            "Distance between the answered and the true position.",
            ["site"],
            buckets=METERS,
        )
        self.region_labels = families.counter(
            "region_labels_total",
            "True positions by whether the 90 % region covered them.",
            ["site", "covered"],
        )
        self.los_labels = families.counter(
            "los_labels_total", "True lines of sight by whether the answer was correct.", ["site", "correct"]
        )
        self.activity_labels = families.counter(
            "activity_labels_total", "True activities by whether the answer was correct.", ["site", "correct"]
        )

        self.answers_dropped = families.counter(
            "answers_dropped_total",
            "Answers that could not be kept for labels to come: Redis was away or too slow, or had too many of one "
            "site and minute.",
        )

    def expect(self, site: Site) -> None:
        """Start the series of a site from 0."""
        if "position" in site.tasks:
            self.position_error.labels(site.name)
        of_task = {"position": self.region_labels, "los": self.los_labels, "activity": self.activity_labels}
        for task in site.tasks:
            for truth in TRUTHS:
                of_task[task].labels(site.name, truth)
