"""Vehicles that move through the shipped radio sample, sent frame by frame to a real gateway."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.contract.tensors import RADIO_STEPS
from service.demo.recording import as_of, read_recording
from service.settings import Settings
from tests.e2e.gateway_process import Served, serving

SAMPLE = Settings().models / "scadf-moe" / "sample.jsonl.gz"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("gateway") / "log") as gateway:
        gateway.wait_for("/readyz", 200)
        yield gateway


@dataclass
class Track:
    """The frames of one UE on one carrier, and where it was."""

    frames: list[dict[str, Any]]
    truth_m: list[tuple[float, float]]

    def errors_m(self, places: list[list[float]]) -> NDArray[np.float64]:
        return np.hypot(*(np.array(places) - np.array(self.truth_m[: len(places)])).T)


@pytest.fixture(scope="module")
def tracks() -> list[Track]:
    """Those of at least T frames that move by a metre or more."""
    found: dict[str, Track] = defaultdict(lambda: Track([], []))
    for exchange in as_of(read_recording(SAMPLE), time.time() - 30):
        for frame, truth in zip(exchange.request["frames"], exchange.truth, strict=True):
            track = found[frame["ue"]]
            track.frames.append(frame)
            track.truth_m.append(truth.position_enu_m)
    moving = [t for t in found.values() if np.ptp(np.array(t.truth_m), axis=0).max() > 1]
    return [track for track in moving if len(track.frames) >= RADIO_STEPS]


def _ask(client: httpx.Client, frame: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = client.post("/v1/sense", json={"frames": [{**frame, **more}]})
    assert response.status_code == 200, response.text
    (result,) = response.json()["results"]
    return dict(result)


def _places(path: dict[str, Any]) -> NDArray[np.float64]:
    return np.array([place["position"]["enu_m"] for place in path["vertices"]] + [path["centroid"]["enu_m"]])


def test_error_falls_as_the_trajectory_grows(served: Served, tracks: list[Track]) -> None:
    assert len(tracks) >= 10
    errors = []
    with httpx.Client(base_url=served.url, timeout=60.0) as client:
        for track in tracks:
            answers = [_ask(client, frame) for frame in track.frames[:RADIO_STEPS]]
            lengths = [answer["explanation"]["trajectory_length"] for answer in answers]
            assert lengths == list(range(1, RADIO_STEPS + 1))
            errors.append(track.errors_m([answer["position"]["enu_m"] for answer in answers]))
    by_length = np.mean(errors, axis=0)
    assert by_length[-4:].mean() < 0.95 * by_length[0], by_length.round(2).tolist()


def test_whole_path_is_better_than_what_was_said_on_the_way(served: Served, tracks: list[Track]) -> None:
    on_the_way, smoothed = [], []
    with httpx.Client(base_url=served.url, timeout=60.0) as client:
        for number, track in enumerate(tracks):
            renamed = [{**frame, "ue": f"path-{number}"} for frame in track.frames[:RADIO_STEPS]]
            for frame in renamed[:-1]:
                _ask(client, frame)
            last = _ask(client, renamed[-1], path=True)
            site = last["site"]
            body = client.get(f"/v1/trajectories/{site}/path-{number}").json()
            assert [v["timestamp_s"] for v in body["vertices"]] == [frame["timestamp_s"] for frame in renamed]
            assert _places(body["path"]) == pytest.approx(_places(last["path"]), abs=2e-3)  # both rounded to 1 mm
            assert last["path"]["vertices"][-1]["position"]["enu_m"] == last["position"]["enu_m"]
            on_the_way.append(track.errors_m([v["position"]["enu_m"] for v in body["vertices"]]))
            smoothed.append(track.errors_m([v["position"]["enu_m"] for v in body["path"]["vertices"]]))
    assert np.mean(smoothed) < np.mean(on_the_way)


def test_late_frame_lands_in_its_place_and_a_repeated_one_changes_nothing(served: Served, tracks: list[Track]) -> None:
    track = tracks[0]
    in_order = [{**frame, "ue": "in-order"} for frame in track.frames[:8]]
    shuffled = [{**frame, "ue": "shuffled"} for frame in track.frames[:8]]
    with httpx.Client(base_url=served.url, timeout=60.0) as client:
        for frame in in_order:
            _ask(client, frame)
        for frame in (*shuffled[:3], *shuffled[4:7], shuffled[3], shuffled[3], shuffled[7]):
            _ask(client, frame)
        site = track.frames[0]["site"]
        one, other = (client.get(f"/v1/trajectories/{site}/{ue}").json() for ue in ("in-order", "shuffled"))
    assert {**other, "ue": "in-order"} == one
