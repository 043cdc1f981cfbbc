from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from service.demo.laps import laps
from service.demo.recording import Exchange, read_recording
from tests.service.demo.outcomes import recording


def _at(site: str, *times_s: float) -> list[Exchange]:
    return [
        Exchange({"frames": [{"site": site, "ue": "walker", "timestamp_s": time_s}]}, truth=()) for time_s in times_s
    ]


def _first(exchanges: list[Exchange], count: int) -> list[tuple[float, str, str]]:
    dues = islice(laps(exchanges, "~x"), count)
    return [(due.at_s, frame["site"], frame["ue"]) for due in dues for frame in due.exchange.request["frames"]]


def test_a_lap_begins_one_step_after_the_last_one_ended() -> None:
    assert _first(_at("munich", 7.0, 7.5, 8.5), 5) == [
        (0.0, "munich", "walker~x.0"),
        (0.5, "munich", "walker~x.0"),
        (1.5, "munich", "walker~x.0"),
        (2.0, "munich", "walker~x.1"),
        (2.5, "munich", "walker~x.1"),
    ]


def test_sites_go_round_on_their_own_and_come_in_the_order_of_time() -> None:
    both = _first(_at("long", 0.0, 1.0, 2.0) + _at("short", 100.25, 100.75), 7)
    assert [at_s for at_s, _, _ in both] == [0.0, 0.0, 0.5, 1.0, 1.0, 1.5, 2.0]
    assert [(at_s, ue) for at_s, site, ue in both if site == "short"] == [
        (0.0, "walker~x.0"),
        (0.5, "walker~x.0"),
        (1.0, "walker~x.1"),
        (1.5, "walker~x.1"),
    ]


def test_lone_instant_comes_once_a_second() -> None:
    assert [at_s for at_s, _, _ in _first(_at("munich", 9.0), 3)] == [0.0, 1.0, 2.0]


def test_instants_out_of_order_are_put_in_order() -> None:
    assert [at_s for at_s, _, _ in _first(_at("munich", 2.0, 1.0), 2)] == [0.0, 1.0]


def test_truth_stays_with_its_request_and_the_recording_as_it_was(tmp_path: Path) -> None:
    exchanges = read_recording(recording(tmp_path / "sample.jsonl.gz", lines=2))
    last = list(islice(laps(exchanges), 4))[-1].exchange
    assert last.truth == exchanges[1].truth
    assert [frame["ue"] for frame in last.request["frames"]] == ["ue-0.1", "ue-1.1"]
    assert [frame["ue"] for frame in exchanges[1].request["frames"]] == ["ue-0", "ue-1"]


def test_time_never_runs_back() -> None:
    times_s = [at_s for at_s, _, _ in _first(_at("a", 0.0, 0.3) + _at("b", 0.0, 0.7, 0.8), 200)]
    assert times_s == sorted(times_s)
    assert times_s[-1] == pytest.approx(30.0, abs=1.0)  # 2 in 0.6 s and 3 in 0.9 s: 20 in 3 s
