from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.data.radio_batches import Radio
from models.radio import paths
from models.radio.calibration import calibrate
from models.radio.paths import PathResiduals, path_residuals
from models.radio.predict import RadioEmbeddings, RadioPredictions, embed, fuse
from models.radio.reporting import report
from models.systems.scadf_moe import ScadfMoe
from service.contract.tensors import RADIO_STEPS

CARRIERS = {"2600000000": 0, "6000000000": 1, "28000000000": 2}  # keys of a manifest, and their axis
NINE_OF_TEN = 2 * np.log(10)  # of a chi-squared distribution with 2 degrees of freedom


@pytest.fixture(scope="module")
def embedded(untrained: ScadfMoe, radio: dict[str, Radio]) -> RadioEmbeddings:
    return embed(untrained, radio["val"])


@pytest.fixture(scope="module")
def newest(radio: dict[str, Radio]) -> RadioPredictions:
    """Answers some metres off whose covariances are honest at the second band only, and who know some of the LoS."""
    rng = np.random.default_rng(0)
    frames = radio["val"].frames
    shape = (len(frames), 3)
    place = frames.position_m[:, None, :2] + rng.normal(0, 2, (*shape, 2))
    scale = np.array([2.0, 0.5, 2.0]) * np.array([0.1, 1, 10])[:, None] * np.ones((*shape, 1))
    logit = np.where(frames.los, 1.0, -1.0)[:, None] + rng.normal(0, 2, shape)
    return RadioPredictions(*(part.astype(np.float32) for part in (place, scale, logit)))


@pytest.fixture(scope="module")
def misses() -> list[PathResiduals]:
    rng = np.random.default_rng(1)
    return [
        PathResiduals(np.ones(90), scale * rng.exponential(1, 90), np.ones(30), 5 * scale * rng.exponential(1, 30))
        for scale in (1, 10, 100)
    ]


@pytest.fixture(scope="module")
def novelty(radio: dict[str, Radio]) -> NDArray[np.float32]:
    frames = radio["val"].frames
    scores = np.random.default_rng(2).exponential(1, (len(frames), 3)) * (1 + 9 * frames.site[:, None])
    return scores.astype(np.float32)


def _length(error: NDArray[np.floating], scale: NDArray[np.floating]) -> float:
    """Squared Mahalanobis length, by inverting the covariance."""
    l11, l21, l22 = scale
    factor = np.array([[l11, 0], [l21, l22]], np.float64)
    return float(error @ np.linalg.inv(factor @ factor.T) @ error)


def test_path_residuals_are_those_of_each_trajectory_alone(
    untrained: ScadfMoe, radio: dict[str, Radio], embedded: RadioEmbeddings
) -> None:
    frames = radio["val"].frames
    some = replace(frames, duplicate=np.arange(len(frames)) % 4 != 0)  # trajectories end with one frame in four
    found = path_residuals(untrained, replace(radio["val"], frames=some), embedded, length=4)
    assert len(found) == 3
    for band, misses in enumerate(found):
        error, length, middle_error, middle_length = [], [], [], []
        for row in range(0, len(frames), 4):
            mine = np.flatnonzero((frames.track == frames.track[row]) & (frames.time_s <= frames.time_s[row]))[-4:]
            age = torch.from_numpy((frames.time_s[row] - frames.time_s[mine]).astype(np.float32)).unsqueeze(0)
            with torch.no_grad():
                out = untrained.fuser(
                    torch.from_numpy(embedded.embedding[mine, band]).unsqueeze(0), age, torch.ones_like(age)
                )
            truth = frames.position_m[mine, :2]
            for step, away in enumerate(truth - out["position"][0].numpy()):
                error.append(np.linalg.norm(away))
                length.append(_length(away, out["scale_tril"][0, step].numpy()))
            centre = truth.mean(0) - out["centroid"][0].numpy()
            middle_error.append(np.linalg.norm(centre))
            middle_length.append(_length(centre, out["centroid_scale_tril"][0].numpy()))
        for got, expected in (
            (misses.error_m, error), (misses.length, length), (misses.centroid_error_m, middle_error),
            (misses.centroid_length, middle_length),
        ):  # fmt: skip
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


def test_path_residuals_do_not_depend_on_the_chunks(
    untrained: ScadfMoe, radio: dict[str, Radio], embedded: RadioEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = path_residuals(untrained, radio["val"], embedded, RADIO_STEPS)
    monkeypatch.setattr(paths, "CHUNK", 7)
    for mine, theirs in zip(path_residuals(untrained, radio["val"], embedded, RADIO_STEPS), whole, strict=True):
        np.testing.assert_allclose(mine.length, theirs.length, rtol=1e-3)
        np.testing.assert_allclose(mine.centroid_error_m, theirs.centroid_error_m, rtol=1e-3)


def test_regions_hold_nine_of_ten_at_every_carrier_of_what_they_were_fitted_on(
    untrained: ScadfMoe, radio: dict[str, Radio], embedded: RadioEmbeddings, novelty: NDArray[np.float32]
) -> None:
    val = radio["val"]
    residuals = path_residuals(untrained, val, embedded, RADIO_STEPS)
    _, carriers = calibrate(fuse(untrained, val, embedded, RADIO_STEPS), residuals, novelty, val)
    figures = report(untrained, carriers, val)
    for band, misses in zip(val.frames.bands, residuals, strict=True):
        frames, vertices = len(val.frames), len(misses.length)
        for name, count in (("all", frames), ("path", vertices), ("centroid", frames)):
            assert 0.9 <= figures[f"{name}/{band.name}"]["region_90_coverage"] <= 0.9 + 2 / count, (name, band.name)


def test_carriers_are_named_by_their_frequency_and_calibrated_apart(
    radio: dict[str, Radio], newest: RadioPredictions, misses: list[PathResiduals], novelty: NDArray[np.float32]
) -> None:
    both, carriers = calibrate(newest, misses, novelty, radio["val"])
    assert list(carriers) == list(CARRIERS)
    for key, band in CARRIERS.items():
        mine = carriers[key]
        for found, length in (
            (mine.region_quantile, _lengths(radio["val"], newest, band)),
            (mine.path_quantile, misses[band].length),
            (mine.centroid_quantile, misses[band].centroid_length),
        ):
            assert list(found) == ["0.50", "0.90", "0.95"]
            assert 0.9 <= (length <= found["0.90"] * (1 + 1e-6)).mean() <= 0.9 + 2 / len(length)
    assert carriers["2600000000"].region_quantile["0.90"] > 50 * carriers["6000000000"].region_quantile["0.90"]
    every = np.concatenate([_lengths(radio["val"], newest, band) for band in range(3)])
    assert 0.9 <= (every <= both.region_quantile["0.90"] * (1 + 1e-6)).mean() <= 0.9 + 2 / len(every)
    together = np.concatenate([each.length for each in misses])
    assert 0.5 <= (together <= both.path_quantile["0.50"]).mean() <= 0.5 + 2 / len(together)


def _lengths(val: Radio, newest: RadioPredictions, band: int) -> NDArray[np.float64]:
    away = val.frames.position_m[:, :2] - newest.position_m[:, band]
    return np.array([_length(*pair) for pair in zip(away, newest.scale_tril[:, band], strict=True)])


def test_covariance_is_scaled_until_it_tells_what_the_region_tells(
    radio: dict[str, Radio], newest: RadioPredictions, misses: list[PathResiduals], novelty: NDArray[np.float32]
) -> None:
    both, carriers = calibrate(newest, misses, novelty, radio["val"])
    for calibration in (both, *carriers.values()):
        assert calibration.covariance_scale == pytest.approx(calibration.region_quantile["0.90"] / NINE_OF_TEN)
    assert carriers["6000000000"].covariance_scale == pytest.approx(1, rel=0.6)  # honest before


def test_frame_is_novel_above_the_99th_percentile_of_its_site(
    radio: dict[str, Radio], newest: RadioPredictions, misses: list[PathResiduals], novelty: NDArray[np.float32]
) -> None:
    frames = radio["val"].frames
    both, carriers = calibrate(newest, misses, novelty, radio["val"])
    for calibration in (both, *carriers.values()):
        assert set(calibration.ood_threshold) == {"toy", "toy-east"}
        for number, site in enumerate(frames.sites):
            expected = np.quantile(novelty[frames.site == number], 0.99)
            assert calibration.ood_threshold[site.name] == pytest.approx(expected)


def test_temperature_undoes_a_factor_of_the_logits(
    radio: dict[str, Radio], newest: RadioPredictions, misses: list[PathResiduals], novelty: NDArray[np.float32]
) -> None:
    louder = replace(newest, los_logit=newest.los_logit * np.array([1.0, 2.0, 1.0], np.float32))
    (_, before), (_, after) = (calibrate(each, misses, novelty, radio["val"]) for each in (newest, louder))
    for key, factor in zip(CARRIERS, (1, 2, 1), strict=True):
        assert after[key].los_temperature == pytest.approx(factor * before[key].los_temperature, rel=1e-3)
        assert after[key].activity_temperature == 1.0


@pytest.mark.parametrize("left_out", ["duplicate", "absent"])
def test_near_duplicates_and_empty_scenes_are_not_calibrated_on(
    radio: dict[str, Radio],
    newest: RadioPredictions,
    misses: list[PathResiduals],
    novelty: NDArray[np.float32],
    left_out: str,
) -> None:
    frames = radio["val"].frames
    some = np.arange(len(frames)) % 3 == 0
    marked = {"duplicate": some} if left_out == "duplicate" else {"present": ~some}
    wild = replace(newest, position_m=newest.position_m + 1e4 * some[:, None, None].astype(np.float32))
    found = calibrate(wild, misses, novelty, replace(radio["val"], frames=replace(frames, **marked)))
    kept = RadioPredictions(newest.position_m[~some], newest.scale_tril[~some], newest.los_logit[~some])
    assert found == calibrate(kept, misses, novelty[~some], replace(radio["val"], frames=frames.take(~some)))
