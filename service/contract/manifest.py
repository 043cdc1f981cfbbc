"""The manifest that travels with an artifact, and the fingerprint that ties it to this code."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from service.contract.labels import ACTIVITIES, MODALITIES, SCENE_MODALITIES, TASKS
from service.contract.sites import Site
from service.contract.tensors import CONTRACTS, GENERIC, MULTIMODAL, Contract

NORMALIZER_VERSION = 1  # raise it whenever a normalizer gives other numbers for the same input, by more than rounding


def contract_fingerprint(contract: Contract = MULTIMODAL) -> str:
    """SHA-256 (first 16 hex digits) of everything that a graph and the service must agree on."""
    agreed = {
        "graphs": contract.to_json(),
        "modalities": MODALITIES,
        "scene_modalities": SCENE_MODALITIES,
        "tasks": TASKS,
        "activities": ACTIVITIES,
        "normalizers": NORMALIZER_VERSION,
    }
    return hashlib.sha256(json.dumps(agreed, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Calibration:
    """What turns raw outputs into calibrated answers; fitted on the validation split only.

    Attributes:
        region_quantile: split-conformal quantile of the squared Mahalanobis distance, per confidence level
            (key `"0.90"`): the region is every position whose distance is at most this.
        covariance_scale: factor that makes the covariance honest: the quantile at 0.90 over that of a chi-squared
            distribution with 2 degrees of freedom, so that covariance and region tell the same story.
        los_temperature: divisor of the LoS logit (Guo et al. 2017).
        activity_temperature: divisor of the activity logits.
        ood_threshold: `ood_score` above which a frame is flagged, the 99 % quantile of validation, per site.
        path_quantile, centroid_quantile: as `region_quantile`, of the vertices of a smoothed path and of its centroid;
            empty where the artifact does not answer these.
    """

    region_quantile: dict[str, float]
    covariance_scale: float
    los_temperature: float
    activity_temperature: float
    ood_threshold: dict[str, float]
    path_quantile: dict[str, float] = field(default_factory=dict)
    centroid_quantile: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Everything about an artifact but its weights. `files` maps a graph's name to its SHA-256.

    `carriers` has a calibration for each carrier frequency (key in Hz, `"2600000000"`) where the artifact serves
    several; `calibration` is for any other.
    """

    name: str
    version: str
    fingerprint: str
    opset: int
    files: dict[str, str]
    sites: tuple[Site, ...]
    calibration: Calibration
    metrics: dict[str, object]  # task metrics by named split
    training_data: tuple[dict[str, str], ...]  # name, licence, source
    commit: str
    precision: str = "fp32"
    graphs: dict[str, object] = field(default_factory=dict)  # tensor specs, for readers without this code
    contract: str = MULTIMODAL.name  # a key of `service.contract.tensors.CONTRACTS`, or `GENERIC`
    carriers: dict[str, Calibration] = field(default_factory=dict)

    def site(self, name: str) -> Site | None:
        """The site of that name, or None."""
        return next((s for s in self.sites if s.name == name), None)

    @cached_property
    def tensors(self) -> Contract:
        """What the graphs take and give. Raises `ValueError` where this code does not know the contract."""
        if self.contract == GENERIC:
            return Contract.from_json(GENERIC, self.graphs)
        if self.contract not in CONTRACTS:
            raise ValueError(f"contract: expected one of {', '.join(CONTRACTS)} or {GENERIC}, got {self.contract!r}")
        return CONTRACTS[self.contract]

    def calibration_at(self, carrier_hz: float | None) -> Calibration:
        """The calibration for frames of a carrier, None for frames without one."""
        key = None if carrier_hz is None or not math.isfinite(carrier_hz) else f"{carrier_hz:.0f}"
        return self.calibration if key is None else self.carriers.get(key, self.calibration)

    def to_json(self) -> dict[str, Any]:
        """The manifest as JSON-ready values."""
        return {**asdict(self), "sites": [s.to_json() for s in self.sites]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """The inverse of `to_json`. Raises `AttributeError`, `KeyError`, `TypeError` or `ValueError`."""
        data = {**_NO_SENSING, **data} if data.get("contract") == GENERIC else dict(data)
        data["sites"] = tuple(Site.from_json(s) for s in data["sites"])
        data["calibration"] = Calibration(**data["calibration"])
        data["carriers"] = {key: Calibration(**value) for key, value in data.get("carriers", {}).items()}
        data["training_data"] = tuple(data["training_data"])
        found = cls(**data)
        _ = found.tensors  # must be known
        return found

    def save(self, folder: Path) -> None:
        """Write `manifest.json` into `folder`."""
        (folder / "manifest.json").write_text(json.dumps(self.to_json(), indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read `manifest.json`. Raises `ValueError` naming the file where it does not fit."""
        path = folder / "manifest.json"
        try:
            return cls.from_json(json.loads(path.read_text()))
        except (AttributeError, OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a manifest of this version: {error}") from error


_NO_SENSING: dict[str, object] = {
    "fingerprint": "",
    "opset": 0,
    "sites": [],
    "calibration": asdict(Calibration({}, 1.0, 1.0, 1.0, {})),
    "metrics": {},
    "training_data": [],
    "commit": "unknown",
}
"""What an artifact of the generic contract need not say."""
