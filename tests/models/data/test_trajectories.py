from __future__ import annotations

import numpy as np
import pytest

from models.data.frames import Frames, load
from models.data.trajectories import Grouping, spatial, temporal
from tests.models.data.fake_set import SITES, Size, fake_set


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    folder = tmp_path_factory.mktemp("set")
    fake_set(folder, tuple(SITES), {"train": 4, "test": 1, "empty": 1}, Size(snapshots=5, ues=3))
    return load(folder, "held-out-trajectories", "train", quiet=True)


def _members(grouping: Grouping) -> list[list[int]]:
    return [index[mask].tolist() for index, mask in zip(grouping.index, grouping.mask, strict=True)]


def _is_padded_in_front(grouping: Grouping) -> bool:
    rises = (np.diff(grouping.mask.astype(int), axis=1) >= 0).all()
    last = grouping.index[:, -1:]
    return bool(rises and grouping.mask[:, -1].all() and (np.where(grouping.mask, last, grouping.index) == last).all())


@pytest.mark.parametrize("length", [1, 3, 8])
def test_trajectory_ends_with_each_frame_and_holds_those_before_it(frames: Frames, length: int) -> None:
    found = temporal(frames, length)
    assert found.index.shape == found.mask.shape == found.age_s.shape == (len(frames), length)
    for row, members in enumerate(_members(found)):
        mine = np.flatnonzero((frames.track == frames.track[row]) & (frames.time_s <= frames.time_s[row]))
        assert members == mine[np.argsort(frames.time_s[mine])][-length:].tolist()
        ages = found.age_s[row][found.mask[row]]
        np.testing.assert_allclose(ages, frames.time_s[row] - frames.time_s[members], atol=1e-6)
    assert _is_padded_in_front(found)
    assert (found.age_s[~found.mask] == 0).all()


def test_time_decides_and_not_the_order_of_the_rows(frames: Frames) -> None:
    shuffle = np.random.default_rng(0).permutation(len(frames))
    mixed = [[int(shuffle[i]) for i in members] for members in _members(temporal(frames.take(shuffle), 4))]
    assert sorted(mixed) == sorted(_members(temporal(frames, 4)))


def test_gap_in_time_shows_in_the_ages(frames: Frames) -> None:
    some = frames.take(frames.snapshot != 3)
    found = temporal(some, 3)
    tenths = np.rint(10 * found.age_s[found.mask.all(1)]).astype(int)
    assert {tuple(row) for row in tenths.tolist()} == {(2, 1, 0), (3, 2, 0)}


@pytest.mark.parametrize("length", [2, 5, 16])
def test_every_frame_is_in_one_cluster_of_its_site(frames: Frames, length: int) -> None:
    found = spatial(frames, length, np.random.default_rng(1))
    members = _members(found)
    assert sorted(i for cluster in members for i in cluster) == list(range(len(frames)))
    assert all(len(set(frames.site[cluster].tolist())) == 1 for cluster in members)
    assert all(length / 2 <= len(cluster) <= length for cluster in members)
    assert _is_padded_in_front(found)
    assert (found.age_s == 0).all()


def test_clusters_are_of_neighbours_and_end_near_their_centre(frames: Frames) -> None:
    found = spatial(frames, 6, np.random.default_rng(2))
    place = frames.position_m[:, :2]
    spread, random_spread = [], []
    rng = np.random.default_rng(3)
    for cluster in _members(found):
        away = np.linalg.norm(place[cluster] - place[cluster].mean(0), axis=1)
        assert away[-1] == pytest.approx(away.min(), abs=1e-4)
        spread.append(away.mean())
        same_site = np.flatnonzero(frames.site == frames.site[cluster[0]])
        others = place[rng.choice(same_site, len(cluster), replace=False)]
        random_spread.append(np.linalg.norm(others - others.mean(0), axis=1).mean())
    assert np.mean(spread) < 0.4 * np.mean(random_spread)


def test_draws_differ_and_are_reproducible(frames: Frames) -> None:
    first, again, other = (_members(spatial(frames, 6, np.random.default_rng(seed))) for seed in (4, 4, 5))
    assert first == again
    assert {frozenset(c) for c in first} != {frozenset(c) for c in other}


def test_clusters_mix_trajectories_where_neighbours_come_from_several(frames: Frames) -> None:
    clusters = _members(spatial(frames, 8, np.random.default_rng(6)))
    assert any(len(set(frames.track[cluster].tolist())) > 1 for cluster in clusters)


def test_nobody_is_nowhere(frames: Frames, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("empty")
    fake_set(folder, plan={"empty": 1})
    empty = load(folder, "empty", "test", quiet=True)
    assert len(temporal(empty, 4).index) == len(empty) > 0
    found = spatial(empty, 4, np.random.default_rng(0))
    assert found.index.shape == (0, 4)
