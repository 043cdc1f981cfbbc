from __future__ import annotations

import pytest

from models.data.shards import ShardSet
from models.data.showing.card_tables import (
    bands_table,
    cast_table,
    counts_tables,
    cues_table,
    power_tables,
    sites_table,
    splits_table,
)
from models.data.showing.frames import Frames, gather
from models.data.showing.words import known_limits
from tests.models.data.fake_set import fake_set


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return fake_set(tmp_path_factory.mktemp("set"), ("toy", "toy-east", "far"))


@pytest.fixture(scope="module")
def frames(shards: ShardSet) -> Frames:
    return gather(shards, [], quiet=True)


def test_episodes_are_counted_by_site_and_purpose(frames: Frames) -> None:
    text = counts_tables(frames)
    assert "| toy | 3 | 1 | 2 | 1 | 1 | 1 | 9 | 18 | 32 |" in text
    assert "| far | 0 | 0 | 2 | 0 | 0 | 1 | 3 | 6 | 8 |" in text
    assert "| all | 6 | 2 | 6 | 2 | 2 | 3 | 21 | 42 | 72 |" in text
    assert "| purpose nlos | 8 | 0.0 % | 100.0 % | 0.0 % | 0.0 % |" in text


def test_site_of_the_unseen_city_is_marked(shards: ShardSet, frames: Frames) -> None:
    rows = sites_table(shards, frames).splitlines()
    assert [row for row in rows if "unseen city" in row] == [row for row in rows if row.startswith("| far |")]


def test_every_protocol_of_the_set_has_a_row(shards: ShardSet) -> None:
    rows = splits_table(shards).splitlines()
    for name in shards.splits:
        assert sum(row.startswith(f"| {name} |") for row in rows) == 1
    (few,) = [row for row in rows if row.startswith("| few-label-20 |")]
    assert "2 labelled tracks" in few  # a fifth of 6 at either site
    assert "test: 2 episodes, sites: 1 |" in next(row for row in rows if row.startswith("| unseen-city |"))


def test_links_are_described_by_site_and_band(frames: Frames) -> None:
    text = power_tables(frames)
    for site in ("toy", "toy-east", "far", "all"):
        for band in ("2.6 GHz", "6 GHz", "28 GHz"):
            assert f"| {site} | {band} |" in text
    assert "| 28 GHz | line of sight |" in text


def test_bands_say_what_follows_from_their_width(frames: Frames) -> None:
    assert "| 28 GHz | 100 MHz | 64, 1.562 MHz | 7 dB | -105.1 dBm | -87.0 dBm |" in bands_table(frames)


def test_cast_and_cues_and_limits_leave_no_hole(shards: ShardSet, frames: Frames) -> None:
    text = cast_table(shards, frames) + cues_table(shards, frames, quiet=True) + known_limits(shards, frames)
    assert "| truck | 1 |" in text
    assert "| 6 GHz | line of sight |" in text
    for hole in ("nan", "inf ", "inf|", "None"):
        assert hole not in text
