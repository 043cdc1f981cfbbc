from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.baselines.radio_knn import LARGEST, SETTINGS, RadioMap, Setting, answer, read_features, tune
from models.data import frames as radio_frames
from models.data.planes import Planes
from models.data.radio_batches import Radio
from models.data.shards import ShardSet

FEATURES = ("cues", "image")


@pytest.fixture(scope="module")
def maps(radio: dict[str, Radio]) -> dict[str, RadioMap]:
    return {kind: RadioMap(radio["train"], kind) for kind in FEATURES}


@pytest.fixture(scope="module")
def turned(radio_folder: Path) -> Radio:
    """The test part, with its sites in the other order."""
    shards = ShardSet.open(radio_folder)
    frames = radio_frames.load(radio_folder, "held-out-trajectories", "test", ["toy-east", "toy"], quiet=True)
    return Radio(frames, Planes(shards, frames, [0, 1, 2]), ("toy", "toy-east"))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", FEATURES)
def test_training_frame_is_its_own_nearest(
    radio: dict[str, Radio], maps: dict[str, RadioMap], kind: str, weighted: bool
) -> None:
    train = radio["train"]
    found = answer(maps, [Setting(kind, 1, weighted)] * 3, train, train)
    for band in range(3):
        np.testing.assert_array_equal(found.position_m[:, band], train.frames.position_m[:, :2])
        np.testing.assert_array_equal(found.los_logit[:, band] > 0, train.frames.los)
    np.testing.assert_allclose(found.scale_tril, np.broadcast_to([0.5, 0.0, 0.5], found.scale_tril.shape))


@pytest.mark.parametrize("kind", FEATURES)
def test_map_of_a_site_never_answers_with_a_frame_of_another(
    radio: dict[str, Radio], maps: dict[str, RadioMap], turned: Radio, kind: str
) -> None:
    frames = radio["train"].frames
    for part in (radio["test"], turned):
        for number, site in enumerate(part.frames.sites):
            for band in range(3):
                distance, index = maps[kind].neighbours(part, number, band)
                assert distance.shape == index.shape == ((part.frames.site == number).sum(), LARGEST)
                assert {frames.sites[s].name for s in frames.site[index].ravel()} == {site.name}
                assert (np.diff(distance, axis=1) >= 0).all()


def test_order_of_the_sites_does_not_matter(radio: dict[str, Radio], maps: dict[str, RadioMap], turned: Radio) -> None:
    settings = [Setting("cues", 3, True), Setting("image", 5, False), Setting("cues", 1, False)]
    expected, found = (answer(maps, settings, radio["train"], part) for part in (radio["test"], turned))
    names = [[part.frames.sites[s].name for s in part.frames.site] for part in (radio["test"], turned)]
    for site in ("toy", "toy-east"):
        mine, theirs = (np.array(name) == site for name in names)
        np.testing.assert_allclose(found.position_m[theirs], expected.position_m[mine], atol=1e-4)
        np.testing.assert_allclose(found.scale_tril[theirs], expected.scale_tril[mine], atol=1e-4)


def test_answer_is_the_mean_and_spread_of_the_neighbours(radio: dict[str, Radio], maps: dict[str, RadioMap]) -> None:
    train, test = radio["train"], radio["test"]
    found = answer(maps, [Setting("cues", 5, False)] * 3, train, test)
    _, index = maps["cues"].neighbours(test, 1, 2)
    row = np.flatnonzero(test.frames.site == 1)[4]
    place = train.frames.position_m[index[4, :5], :2].astype(np.float64)
    np.testing.assert_allclose(found.position_m[row, 2], place.mean(0), rtol=1e-5)
    l11, l21, l22 = found.scale_tril[row, 2].astype(np.float64)
    factor = np.array([[l11, 0], [l21, l22]])
    np.testing.assert_allclose(factor @ factor.T, np.cov(place.T, bias=True) + 0.25 * np.eye(2), rtol=1e-4)
    share = np.clip(train.frames.los[index[4, :5]].mean(), 0.01, 0.99)
    assert found.los_logit[row, 2] == pytest.approx(np.log(share / (1 - share)), rel=1e-4)


def test_setting_of_each_band_has_the_least_mean_error_on_validation(
    radio: dict[str, Radio], maps: dict[str, RadioMap]
) -> None:
    train, val = radio["train"], radio["val"]
    chosen = tune(maps, train, val)
    truth = val.frames.position_m[:, None, :2]
    errors = {
        setting: np.linalg.norm(answer(maps, [setting] * 3, train, val).position_m - truth, axis=-1).mean(0)
        for setting in SETTINGS
    }
    assert len(chosen) == 3
    for band, setting in enumerate(chosen):
        assert errors[setting][band] == pytest.approx(min(error[band] for error in errors.values()), rel=1e-5)


def test_frames_without_a_label_are_on_no_map(radio: dict[str, Radio]) -> None:
    frames = radio["train"].frames
    few = replace(radio["train"], frames=replace(frames, labelled=frames.episode == 0))
    for kind in FEATURES:
        for site in (0, 1):
            _, index = RadioMap(few, kind).neighbours(radio["test"], site, 0)
            assert few.frames.labelled[index].all()


def test_features_are_of_the_stored_measurements(radio: dict[str, Radio]) -> None:
    frames, rows = radio["test"].frames, np.array([9, 0, 3])
    cues = read_features(radio["test"], rows, 1, "cues")
    np.testing.assert_array_equal(cues[:, :64], frames.aoa[rows, 1])
    np.testing.assert_array_equal(cues[:, 65], frames.gain_dbm[rows, 1])
    missing = np.flatnonzero(np.isnan(frames.distance_m[:, 1]))[:1]
    assert read_features(radio["test"], missing, 1, "cues")[0, 64] > np.nanmax(frames.distance_m)
    image = read_features(radio["test"], rows, 1, "image")
    planes = radio["test"].planes.read(rows, np.ones(3, np.int64))[:, :4].max(1)
    np.testing.assert_allclose(image.reshape(3, 16, 32)[:, 5, 7], planes[:, 10:12, 14:16].mean((1, 2)))
