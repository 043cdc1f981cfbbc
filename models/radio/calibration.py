"""Calibration of a radio artifact on its validation part, for each carrier and over all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from models.calibration import LEVELS, NOVELTY_QUANTILE, binary_temperature, conformal_quantile
from models.data.radio_batches import Radio
from models.metrics import squared_mahalanobis
from models.radio.paths import PathResiduals
from models.radio.predict import RadioPredictions
from service.contract.manifest import Calibration

Lengths = list[NDArray[np.float64]]  # squared Mahalanobis, of each band


def calibrate(
    newest: RadioPredictions, paths: Sequence[PathResiduals], novelty: NDArray[np.float32], val: Radio
) -> tuple[Calibration, dict[str, Calibration]]:
    """The calibration for any carrier, and those of the carriers by their frequency in Hz.

    Args:
        newest: answers of the newest vertices.
        paths: misses of whole trajectories, of each band.
        novelty: `[F, B]` novelty scores.
        val: the validation part.
    """
    counted = val.frames.present & ~val.frames.duplicate
    truth, los = val.frames.position_m[counted, :2], val.frames.los[counted]
    lengths = [
        squared_mahalanobis(truth - newest.position_m[counted, band], newest.scale_tril[counted, band])
        for band in range(len(val.frames.bands))
    ]
    limits = {
        site.name: float(np.quantile(novelty[counted & (val.frames.site == number)], NOVELTY_QUANTILE))
        for number, site in enumerate(val.frames.sites)
    }

    def of(bands: list[int]) -> Calibration:
        quantiles = _quantiles([lengths[band] for band in bands])
        logit = np.concatenate([newest.los_logit[counted, band] for band in bands])
        return Calibration(
            region_quantile=quantiles,
            covariance_scale=quantiles["0.90"] / float(chi2.ppf(0.9, 2)),
            los_temperature=binary_temperature(logit, np.tile(los, len(bands))),
            activity_temperature=1.0,
            ood_threshold=limits,
            path_quantile=_quantiles([paths[band].length for band in bands]),
            centroid_quantile=_quantiles([paths[band].centroid_length for band in bands]),
        )

    every = list(range(len(val.frames.bands)))
    return of(every), {f"{val.frames.bands[band].carrier_hz:.0f}": of([band]) for band in every}


def _quantiles(lengths: Lengths) -> dict[str, float]:
    together = np.concatenate(lengths)
    return {f"{level:.2f}": conformal_quantile(together, level) for level in LEVELS}
