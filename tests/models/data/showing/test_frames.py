from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.recipe import PURPOSES
from models.data.showing.frames import counts, gather
from models.data.showing.instant import NotInSet
from tests.models.data.fake_set import SITES, Size, fake_set

THREE = Size(ues=3)  # the third is away in every other episode


def test_set_is_counted_by_site_purpose_and_blocker(tmp_path: Path) -> None:
    shards = fake_set(tmp_path, ("toy", "far"), {"train": 2, "nlos": 1, "empty": 1})
    figures = counts(gather(shards, [], quiet=True))
    assert (figures["episodes"], figures["snapshots"], figures["frames"]) == (7, 14, 20)
    assert {name: group["frames"] for name, group in figures["sites"].items()} == {"toy": 12, "far": 8}
    purposes = {name: group["frames"] for name, group in figures["purposes"].items()}
    assert purposes == {"train": 8, "val": 0, "test": 8, "region": 0, "nlos": 4, "empty": 0}
    assert figures["purposes"]["nlos"]["blockers"]["blocked by a building"] == 4
    assert figures["outages"] == 5  # one an episode with UEs
    assert sum(figures["blockers"].values()) == 20


def test_ues_that_are_away_are_no_frames(tmp_path: Path) -> None:
    shards = fake_set(tmp_path, plan={"train": 2}, size=THREE)
    frames = gather(shards, [], quiet=True)
    away = sum(int((shards.read("toy", episode, ["ue_present"])["ue_present"] == 0).sum()) for episode in (0, 1))
    assert away == 1
    assert len(frames.site) == 2 * 2 * 3 - 2 * away
    assert (np.hypot(*frames.position_m[:, :2].T) > 20).all()  # those that are away stand at the mast


def test_range_is_slant_from_the_top_of_the_mast(tmp_path: Path) -> None:
    frames = gather(fake_set(tmp_path, plan={"train": 1}), [], quiet=True)
    east, north, up = frames.position_m.T.astype(float)
    np.testing.assert_allclose(frames.range_m, np.sqrt(east**2 + north**2 + (SITES["toy"].mast_height_m - up) ** 2))


def test_outage_is_below_noise_and_without_a_distance_at_every_band(tmp_path: Path) -> None:
    frames = gather(fake_set(tmp_path, plan={"train": 1}), [], quiet=True)
    assert frames.outage.sum() == 1
    assert frames.below_noise[frames.outage].all()
    assert not frames.detected[frames.outage].any()
    assert frames.detected[~frames.outage].all()


def test_only_the_sites_that_were_asked_for_are_read(tmp_path: Path) -> None:
    shards = fake_set(tmp_path, ("toy", "other"), {"train": 1, "test": 1})
    frames = gather(shards, ["other"], quiet=True)
    assert frames.sites == ("other",)
    assert (frames.site == 0).all()
    assert set(frames.purpose) == {PURPOSES.index("train"), PURPOSES.index("test")}


def test_unknown_site_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotInSet, match="expected one of toy, got 'nowhere'"):
        gather(fake_set(tmp_path, plan={"train": 1}), ["nowhere"], quiet=True)


def test_set_in_which_nobody_transmits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotInSet, match="only empty scenes"):
        gather(fake_set(tmp_path, plan={"empty": 1}), [], quiet=True)
