from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.data.raytraced.bodies import KINDS, Body
from models.data.raytraced.streets import Streets
from models.data.raytraced.traffic import Episode, simulate
from models.data.raytraced.zones import OFF, OPEN, REGION
from tests.models.data.raytraced.town import town

TIME_S = 0.5 * np.arange(6)
CAST = (
    *(Body("car", carries_ue=True) for _ in range(4)),
    Body("bus", carries_ue=True),
    *(Body("bicycle", carries_ue=True) for _ in range(2)),
    *(Body("person", carries_ue=True) for _ in range(5)),
    *(Body("truck", carries_ue=False) for _ in range(3)),
    *(Body("car", carries_ue=False, parked=True) for _ in range(3)),
    *(Body("person", carries_ue=False) for _ in range(3)),
)
CARRIERS = [i for i, body in enumerate(CAST) if body.carries_ue]
SEEDS = range(6)
SLOPE = 0.04  # rise of the ground to the east


@pytest.fixture(scope="module")
def streets() -> Streets:
    """Streets between houses, 18 m wide, on a slope; the unseen region is in the north."""
    houses = np.ones((200, 200), bool)
    for middle in (30, 100, 170):
        houses[middle - 9 : middle + 9] = False
        houses[:, middle - 9 : middle + 9] = False
    rows, cols = np.indices(houses.shape)
    zone = np.where(houses, OFF, np.where(rows < 120, OPEN, REGION)).astype(np.uint8)
    return town(houses, (-100.0, -100.0), SLOPE * (cols - 99.5), zone)


@pytest.fixture(scope="module")
def episodes(streets: Streets) -> list[Episode]:
    return [simulate(CAST, streets, OPEN, TIME_S, np.random.default_rng(seed)) for seed in SEEDS]


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
                assert ((streets.height_m - streets.ground_m)[row, col] < 0.3).all()


def test_nearly_all_terminals_find_room_and_keep_to_their_zone(streets: Streets, episodes: list[Episode]) -> None:
    unseen = simulate(CAST, streets, REGION, TIME_S, np.random.default_rng(9))
    for zone, episode in [(OPEN, episode) for episode in episodes] + [(REGION, unseen)]:
        there = episode.present[CARRIERS]
        assert there.mean() > 0.8
        antennas = episode.antenna_m[:, there, :2].reshape(-1, 2)
        assert (streets.at(streets.zone, antennas) == zone).all()


def test_antenna_is_in_no_body(episodes: list[Episode]) -> None:
    for episode in episodes:
        for i in np.flatnonzero(episode.present):
            for k in range(len(TIME_S)):
                away = episode.antenna_m[k, episode.present[CARRIERS]] - [*episode.pose[k, i, :2], 0]
                c, s = np.cos(episode.pose[k, i, 2]), np.sin(episode.pose[k, i, 2])
                local = np.stack([c * away[:, 0] + s * away[:, 1], c * away[:, 1] - s * away[:, 0]], 1)
                up = away[:, 2] - SLOPE * episode.pose[k, i, 0]
                for x0, x1, y0, y1, z0, z1 in KINDS[CAST[i].kind].boxes:
                    inside = (local > [x0, y0]).all(1) & (local < [x1, y1]).all(1) & (up > z0) & (up < z1)
                    assert not inside.any()


def test_nobody_transmits_in_an_empty_scene_but_the_others_move(streets: Streets) -> None:
    episode = simulate(CAST, streets, None, TIME_S, np.random.default_rng(0))
    assert not episode.present[CARRIERS].any()
    assert episode.present.sum() >= 4


def test_bodies_without_a_terminal_come_and_go(episodes: list[Episode]) -> None:
    others = [i for i, body in enumerate(CAST) if not body.carries_ue]
    share = np.mean([episode.present[others].mean() for episode in episodes])
    assert 0.4 < share < 0.95


def test_speeds_are_those_of_the_kind_and_what_the_positions_say(episodes: list[Episode]) -> None:
    for episode in episodes:
        for i in np.flatnonzero(episode.present):
            slowest, fastest = KINDS[CAST[i].kind].speed_mps
            speed = np.hypot(*episode.velocity_mps[:, i].T)
            assert np.ptp(speed) < 1e-9
            if CAST[i].parked:
                assert speed[0] == 0
            elif speed[0] == 0:
                assert CAST[i].kind not in ("person", "bicycle")  # vehicles wait
            else:
                assert slowest <= speed[0] <= fastest
            moved = np.hypot(*np.diff(episode.pose[:, i, :2], axis=0).T) / np.diff(TIME_S)
            assert (moved <= speed[0] * 1.001 + 1e-9).all()  # the way along a curve is longer than the chord
            assert (moved >= speed[0] * 0.8).all()


def test_some_vehicles_wait_and_most_drive(episodes: list[Episode]) -> None:
    driving = [i for i, body in enumerate(CAST) if body.kind in ("car", "bus", "truck") and not body.parked]
    speeds = np.concatenate([np.hypot(*e.velocity_mps[0, driving].T)[e.present[driving]] for e in episodes])
    assert 0.02 < (speeds == 0).mean() < 0.4


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
    again = simulate(CAST, streets, OPEN, TIME_S, np.random.default_rng(SEEDS[1]))
    for name, values in vars(again).items():
        np.testing.assert_array_equal(values, getattr(episodes[1], name))
    assert not np.array_equal(episodes[0].pose, episodes[1].pose)


def test_antennas_ride_on_their_bodies_where_the_ground_is(episodes: list[Episode]) -> None:
    heights, places = [], []
    for episode in episodes:
        for ue, i in enumerate(CARRIERS):
            if not episode.present[i]:
                continue
            away = episode.antenna_m[:, ue] - np.column_stack([episode.pose[:, i, :2], SLOPE * episode.pose[:, i, 0]])
            c, s = np.cos(episode.pose[:, i, 2]), np.sin(episode.pose[:, i, 2])
            local = np.stack([c * away[:, 0] + s * away[:, 1], c * away[:, 1] - s * away[:, 0], away[:, 2]], 1)
            low, high = np.array(KINDS[CAST[i].kind].antenna_m)
            assert (local > low - 1e-6).all()
            assert (local < high + 1e-6).all()
            assert np.ptp(local, axis=0).max() < 1e-6  # held at one place all the way
            if CAST[i].kind == "car":
                heights.append(local[0, 2])
                places.append(local[0, 0])
    assert np.ptp(heights) > 0.15  # not always the same height over the roof: two-ray nulls would give the range away
    assert np.ptp(places) > 0.5


def test_terminal_that_finds_no_room_stays_away() -> None:
    houses = np.ones((60, 60), bool)
    houses[28:32, 35:58] = False  # a lane that no bus fits into
    lane = town(houses, (-30.0, -30.0))
    cast = (Body("bus", carries_ue=True), *(Body("person", carries_ue=True) for _ in range(60)))
    episode = simulate(cast, lane, OPEN, TIME_S, np.random.default_rng(0))
    assert not episode.present[0]
    assert 5 < episode.present.sum() < 60
