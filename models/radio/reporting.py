"""The figures of a radio artifact: its exported graphs under its manifest's calibration, on every test part."""

from __future__ import annotations

import numpy as np

from models.data.radio_batches import Radio
from models.metrics import Figures, position_figures, squared_mahalanobis
from models.radio.paths import path_residuals
from models.radio.predict import Quantiles, RadioModel, embed, figures, fuse
from service.contract.manifest import Calibration
from service.contract.tensors import RADIO_STEPS


def report(model: RadioModel, carriers: dict[str, Calibration], radio: Radio) -> dict[str, Figures]:
    """Figures of one part by `layout/band`: newest vertices at T = 16, and `path/band`, `centroid/band` beside them."""
    embedded = embed(model, radio)
    known = [carriers[f"{band.carrier_hz:.0f}"] for band in radio.frames.bands]
    quantiles: Quantiles = [calibration.region_quantile for calibration in known]
    found = figures(fuse(model, radio, embedded, RADIO_STEPS), radio, quantiles)
    residuals = path_residuals(model, radio, embedded, RADIO_STEPS)
    for band, calibration, misses in zip(radio.frames.bands, known, residuals, strict=True):
        for name, error, length, quantile in (
            ("path", misses.error_m, misses.length, calibration.path_quantile),
            ("centroid", misses.centroid_error_m, misses.centroid_length, calibration.centroid_quantile),
        ):
            found[f"{name}/{band.name}"] = {
                **position_figures(np.stack([error, np.zeros_like(error)], 1), np.zeros((len(error), 2))),
                "region_90_coverage": float((length <= quantile["0.90"]).mean()),
            }
    return found


def sample_figures(model: RadioModel, carriers: dict[str, Calibration], radio: Radio) -> dict[str, object]:
    """What the demo must reproduce, on the frames of the sample: every frame on every carrier."""
    newest = fuse(model, radio, embed(model, radio), RADIO_STEPS)
    truth, bands = radio.frames.position_m[:, :2], range(len(radio.frames.bands))
    inside = []
    for number in bands:
        calibration = carriers[f"{radio.frames.bands[number].carrier_hz:.0f}"]
        length = squared_mahalanobis(truth - newest.position_m[:, number], newest.scale_tril[:, number])
        inside.append(length <= calibration.region_quantile["0.90"])
    place = np.concatenate([newest.position_m[:, number] for number in bands])
    position = position_figures(place, np.tile(truth, (len(bands), 1)))
    return {
        "frames": newest.los_logit.size,
        "position_median_m": position["position_median_m"],
        "position_p95_m": position["position_p95_m"],
        "region_coverage": float(np.mean(inside)),
        "los_accuracy": float(((newest.los_logit > 0) == radio.frames.los[:, None]).mean()),
    }
