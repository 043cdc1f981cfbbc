from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.data.radio_batches import Radio
from models.estimates import unpack_estimates
from models.radio.predict import RadioEmbeddings, RadioPredictions, embed, figures, fuse, region_quantiles, single
from models.systems.scadf_moe import Design, ScadfMoe

BANDS = ("2.6 GHz", "6 GHz", "28 GHz")


@pytest.fixture(scope="module")
def scadf() -> ScadfMoe:
    torch.manual_seed(0)
    return ScadfMoe(Design(layers=1), 2)


@pytest.fixture(scope="module")
def embedded(scadf: ScadfMoe, radio: dict[str, Radio]) -> RadioEmbeddings:
    return embed(scadf, radio["test"])


@pytest.fixture(scope="module")
def made_up(radio: dict[str, Radio]) -> RadioPredictions:
    """Answers about two metres off, that are honest about it at the first band only."""
    rng = np.random.default_rng(0)
    frames = radio["test"].frames
    shape = (len(frames), 3)
    place = frames.position_m[:, None, :2] + rng.normal(0, 2, (*shape, 2))
    scale = np.array([2.0, 0.5, 2.0]) * np.array([1, 0.1, 5])[:, None] * np.ones((*shape, 1))
    return RadioPredictions(place.astype(np.float32), scale.astype(np.float32), rng.normal(0, 1, shape))


def _distance(predictions: RadioPredictions, radio: Radio, band: int) -> np.ndarray:
    """Squared Mahalanobis length, by inverting the covariance."""
    found = []
    for error, (l11, l21, l22) in zip(
        predictions.position_m[:, band] - radio.frames.position_m[:, :2], predictions.scale_tril[:, band], strict=True
    ):
        factor = np.array([[l11, 0], [l21, l22]], np.float64)
        found.append(error @ np.linalg.inv(factor @ factor.T) @ error)
    return np.array(found)


def test_every_frame_is_encoded_at_every_band(
    scadf: ScadfMoe, radio: dict[str, Radio], embedded: RadioEmbeddings
) -> None:
    count = len(radio["test"].frames)
    assert embedded.embedding.shape == (count, 3, 128)
    rows, bands = np.array([5, 0, count - 1]), np.array([2, 1, 0])
    with torch.no_grad():
        embedding, weight = scadf.eval().encoder(**radio["test"].inputs(rows, bands))
    # As buffered: in batches of another size a number may fall on the other side of where half precision rounds.
    np.testing.assert_allclose(embedded.embedding[rows, bands], embedding.half().float(), rtol=2**-10, atol=1e-5)
    np.testing.assert_allclose(embedded.weight[rows, bands], weight, atol=1e-5)


def test_single_estimates_are_those_that_the_embeddings_carry(embedded: RadioEmbeddings) -> None:
    found = single(embedded)
    place, scale, logit = unpack_estimates(torch.from_numpy(embedded.embedding[7, 1]))
    np.testing.assert_array_equal(found.position_m[7, 1], place)
    np.testing.assert_array_equal(found.scale_tril[7, 1], scale)
    assert found.los_logit[7, 1] == logit.item()


def test_trajectory_of_one_frame_is_that_frame_alone(
    scadf: ScadfMoe, radio: dict[str, Radio], embedded: RadioEmbeddings
) -> None:
    found = fuse(scadf, radio["test"], embedded, length=1)
    for band in range(3):
        alone = torch.from_numpy(embedded.embedding[:, band : band + 1])
        with torch.no_grad():
            out = scadf.fuser(alone, torch.zeros(alone.shape[:2]), torch.ones(alone.shape[:2]))
        np.testing.assert_allclose(found.position_m[:, band], out["position"][:, 0], atol=1e-4)
        np.testing.assert_allclose(found.scale_tril[:, band], out["scale_tril"][:, 0], rtol=1e-4)
        np.testing.assert_allclose(found.los_logit[:, band], out["los_logit"][:, 0], atol=1e-4)


def test_answer_is_for_the_newest_of_a_frame_and_those_before_it(
    scadf: ScadfMoe, radio: dict[str, Radio], embedded: RadioEmbeddings
) -> None:
    frames = radio["test"].frames
    found = fuse(scadf, radio["test"], embedded, length=4)
    for row in (0, 20, 40, len(frames) - 1):
        mine = np.flatnonzero((frames.track == frames.track[row]) & (frames.time_s <= frames.time_s[row]))[-4:]
        age = torch.from_numpy((frames.time_s[row] - frames.time_s[mine]).astype(np.float32)).unsqueeze(0)
        with torch.no_grad():
            out = scadf.fuser(torch.from_numpy(embedded.embedding[mine, 2]).unsqueeze(0), age, torch.ones_like(age))
        np.testing.assert_allclose(found.position_m[row, 2], out["position"][0, -1], atol=1e-3)
        np.testing.assert_allclose(found.scale_tril[row, 2], out["scale_tril"][0, -1], rtol=1e-3)


def test_regions_hold_nine_of_ten_frames_that_they_were_fitted_on(
    radio: dict[str, Radio], made_up: RadioPredictions
) -> None:
    quantiles = region_quantiles(made_up, radio["test"])
    count = len(radio["test"].frames)
    assert len(quantiles) == 3
    for band, by_level in enumerate(quantiles):
        assert list(by_level) == ["0.50", "0.90", "0.95"]
        inside = (_distance(made_up, radio["test"], band) <= by_level["0.90"] * (1 + 1e-6)).mean()
        assert 0.9 <= inside <= 0.9 + 2 / count
    assert quantiles[1]["0.90"] > 10 * quantiles[0]["0.90"] > 100 * quantiles[2]["0.90"]


def test_figures_are_of_each_layout_and_band_and_of_all(radio: dict[str, Radio], made_up: RadioPredictions) -> None:
    quantiles = region_quantiles(made_up, radio["test"])
    found = figures(made_up, radio["test"], quantiles)
    one = [f"{name}/{band}" for name in ("toy", "all") for band in BANDS]
    assert list(found) == [*one, "all/all"]  # toy-east is of the layout toy
    frames = radio["test"].frames
    sites = (frames.sites[0], replace(frames.sites[1], name="town-3"))
    apart = replace(radio["test"], frames=replace(frames, sites=sites))
    by_layout = figures(made_up, apart, quantiles)
    assert {name.split("/")[0] for name in by_layout} == {"toy", "town", "all"}
    assert by_layout["all/all"] == found["all/all"]
    assert by_layout["toy/6 GHz"]["frames"] == (frames.site == 0).sum()


def test_figures_are_those_of_plain_numpy(radio: dict[str, Radio], made_up: RadioPredictions) -> None:
    frames = radio["test"].frames
    quantiles = region_quantiles(made_up, radio["test"])
    found = figures(made_up, radio["test"], quantiles)
    error = np.linalg.norm(made_up.position_m - frames.position_m[:, None, :2], axis=-1)
    inside = np.stack([_distance(made_up, radio["test"], b) <= quantiles[b]["0.90"] for b in range(3)], 1)
    right = (made_up.los_logit > 0) == frames.los[:, None]
    for name, bands in (("all/28 GHz", [2]), ("all/all", [0, 1, 2])):
        for figure, expected in (
            ("position_mean_m", error[:, bands].mean()),
            ("position_median_m", np.median(error[:, bands])),
            ("position_mse_m2", (error[:, bands] ** 2).mean()),
            ("region_90_coverage", inside[:, bands].mean()),
            ("los_position_mean_m", error[frames.los][:, bands].mean()),
            ("nlos_position_median_m", np.median(error[~frames.los][:, bands])),
            ("los_recall", right[frames.los][:, bands].mean()),
            ("nlos_recall", right[~frames.los][:, bands].mean()),
            ("frames", error[:, bands].size),
        ):
            tie = 2 / error[:, bands].size if figure == "region_90_coverage" else 0  # which may fall either way
            assert found[name][figure] == pytest.approx(expected, abs=max(tie, 1e-5)), (name, figure)


@pytest.mark.parametrize("left_out", ["duplicate", "absent"])
def test_near_duplicates_and_empty_scenes_do_not_count(
    radio: dict[str, Radio], made_up: RadioPredictions, left_out: str
) -> None:
    frames = radio["test"].frames
    some = np.arange(len(frames)) % 3 == 0
    marked = {"duplicate": some} if left_out == "duplicate" else {"present": ~some}
    wild = replace(made_up, position_m=made_up.position_m + 1e4 * some[:, None, None].astype(np.float32))
    quantiles = region_quantiles(made_up, radio["test"])
    found = figures(wild, replace(radio["test"], frames=replace(frames, **marked)), quantiles)
    kept = RadioPredictions(made_up.position_m[~some], made_up.scale_tril[~some], made_up.los_logit[~some])
    assert found == figures(kept, replace(radio["test"], frames=frames.take(~some)), quantiles)
