from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.raytraced.bodies import KINDS, Body
from models.data.raytraced.streets import Streets, streets_of
from models.data.raytraced.traffic import Episode, simulate

TIME_S = 0.5 * np.arange(6)
SECTOR_DEG, RANGE_M = 60.0, (10.0, 95.0)
CAST = (
    *(Body("car", carries_ue=True) for _ in range(4)),
    Body("bus", carries_ue=True),
    *(Body("person", carries_ue=True) for _ in range(3)),
    *(Body("truck", carries_ue=False) for _ in range(3)),
    *(Body("car", carries_ue=False, parked=True) for _ in range(3)),
    *(Body("person", carries_ue=False) for _ in range(3)),
)
SEEDS = range(6)


@pytest.fixture(scope="module")
def streets() -> Streets:
    """Streets between houses, 14 m wide, around a mast that looks east."""
    height = np.full((200, 200), 15.0)
    for middle in (30, 100, 170):
        height[middle - 7 : middle + 7] = 0
        height[:, middle - 7 : middle + 7] = 0
    return streets_of(height, (-100.0, -100.0), (30.5, 0.5), 0.0, SECTOR_DEG, RANGE_M)


@pytest.fixture(scope="module")
def episodes(streets: Streets) -> list[Episode]:
    return [simulate(CAST, streets, TIME_S, np.random.default_rng(seed)) for seed in SEEDS]


def _corners(kind: str, pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of a footprint `[4, 2]`, in order around it."""
    length, width = KINDS[kind].half_extent_m
    local = np.array([[length, width], [-length, width], [-length, -width], [length, -width]])
    c, s = np.cos(pose[2]), np.sin(pose[2])
    return pose[:2] + local @ np.array([[c, s], [-s, c]])


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether two rectangles overlap, by the separating axis theorem."""
    for rectangle in (a, b):
        for axis in np.diff(rectangle[:3], axis=0):
            p, q = a @ axis, b @ axis
            if p.max() < q.min() or q.max() < p.min():
                return False
    return True


def test_separating_axes_tell_overlap() -> None:
    here, beside, across = (_corners("bus", np.array(pose)) for pose in ([0, 0, 0.0], [0, 2.6, 0.0], [0, 2.6, 1.5]))
    assert not _overlap(here, beside)
    assert _overlap(here, across)


def test_no_body_is_in_another_at_any_snapshot(episodes: list[Episode]) -> None:
    for episode in episodes:
        there = np.flatnonzero(episode.present)
        for k in range(len(TIME_S)):
            corners = {i: _corners(CAST[i].kind, episode.pose[k, i]) for i in there}
            clashes = [(i, j) for i in there for j in there if i < j and _overlap(corners[i], corners[j])]
            assert clashes == []


def test_no_body_is_in_a_wall_at_any_snapshot(episodes: list[Episode], streets: Streets) -> None:
    west, _, south, _ = streets.extent_m
    for episode in episodes:
        for k in range(len(TIME_S)):
            for i in np.flatnonzero(episode.present):
                corners = _corners(CAST[i].kind, episode.pose[k, i])
                # Walls are known to a cell: a corner may stand in one, but not deeper than its diagonal.
                inner = episode.pose[k, i, :2] + (corners - episode.pose[k, i, :2]) * max(
                    0.0, 1 - 1.5 / np.hypot(*(corners[0] - episode.pose[k, i, :2]))
                )
                col, row = ((inner - [west, south]) // 1).astype(int).T
                assert (streets.height_m[row, col] < 0.3).all()


def test_terminals_are_always_there_and_in_the_sector(episodes: list[Episode]) -> None:
    carriers = [i for i, body in enumerate(CAST) if body.carries_ue]
    for episode in episodes:
        assert episode.present[carriers].all()
        x, y = episode.pose[:, carriers, 0], episode.pose[:, carriers, 1]
        assert np.hypot(x, y).min() > RANGE_M[0] - 1
        assert np.hypot(x, y).max() < RANGE_M[1] + 1
        assert np.degrees(np.abs(np.arctan2(y, x))).max() < SECTOR_DEG + 3


def test_bodies_without_a_terminal_come_and_go(episodes: list[Episode]) -> None:
    others = [i for i, body in enumerate(CAST) if not body.carries_ue]
    share = np.mean([episode.present[others].mean() for episode in episodes])
    assert 0.4 < share < 0.95


def test_speeds_are_those_of_the_kind_and_what_the_positions_say(episodes: list[Episode]) -> None:
    for episode in episodes:
        for i in np.flatnonzero(episode.present):
            slowest, fastest = (0.0, 0.0) if CAST[i].parked else KINDS[CAST[i].kind].speed_mps
            speed = np.hypot(*episode.velocity_mps[:, i].T)
            assert speed.min() >= slowest - 1e-9
            assert speed.max() <= fastest + 1e-9
            assert np.ptp(speed) < 1e-9
            moved = np.hypot(*np.diff(episode.pose[:, i, :2], axis=0).T) / np.diff(TIME_S)
            assert (moved <= speed[0] * 1.001 + 1e-9).all()  # the way along a curve is longer than the chord
            assert (moved >= speed[0] * 0.8).all()


def test_bodies_face_where_they_go(episodes: list[Episode]) -> None:
    for episode in episodes:
        heading = np.stack([np.cos(episode.pose[..., 2]), np.sin(episode.pose[..., 2])], -1)
        moving = episode.present & (np.hypot(*episode.velocity_mps[0].T) > 2)
        way = np.diff(episode.pose[:, moving, :2], axis=0)
        mid = heading[:-1, moving] + heading[1:, moving]
        cosine = (way * mid).sum(-1) / np.linalg.norm(way, axis=-1) / np.linalg.norm(mid, axis=-1)
        assert cosine.min() > 0.9
        parked = [i for i, body in enumerate(CAST) if body.parked and episode.present[i]]
        assert np.ptp(episode.pose[:, parked], axis=0).max(initial=0) == 0


def test_episode_depends_on_its_seed_alone(streets: Streets, episodes: list[Episode]) -> None:
    again = simulate(CAST, streets, TIME_S, np.random.default_rng(SEEDS[1]))
    np.testing.assert_array_equal(again.pose, episodes[1].pose)
    np.testing.assert_array_equal(again.velocity_mps, episodes[1].velocity_mps)
    np.testing.assert_array_equal(again.present, episodes[1].present)
    assert not np.array_equal(episodes[0].pose, episodes[1].pose)


def test_antennas_ride_on_their_bodies() -> None:
    cast = (Body("truck", carries_ue=False), Body("person", carries_ue=True), Body("car", carries_ue=True))
    pose = np.array([[[9, 9, 0.0], [10, 20, math.pi / 2], [30, 40, math.pi]]])
    episode = Episode(pose, np.zeros((1, 3, 2)), np.ones(3, bool))
    np.testing.assert_allclose(episode.antenna_m(cast), [[[10, 20.4, 1.2], [30.4, 40, 1.7]]], atol=1e-12)


def test_terminal_that_finds_no_room_is_named() -> None:
    height = np.full((60, 60), 10.0)
    height[28:32, 35:58] = 0.0  # a lane that no bus fits into
    lane = streets_of(height, (-30.0, -30.0), (10.0, 0.5), 0.0, SECTOR_DEG, (4.0, 29.0))
    with pytest.raises(RuntimeError, match=r"no room .* \(person\)"):
        simulate(tuple(Body("person", carries_ue=True) for _ in range(60)), lane, TIME_S, np.random.default_rng(0))
