from __future__ import annotations

import base64
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models import sample
from models.data.raytraced_set import captures, measured_csi
from models.data.shards import ShardSet
from models.sample import Line, people_lines, sample_people, street_lines, tensor
from service.api.media import JSON
from service.api.parsing import parse_batch
from service.contract.labels import ACTIVITIES
from service.demo.recording import read_recording
from service.errors import InvalidInput
from service.pipeline import Batch, SiteFrame, SiteScene
from tests.models.data.fake_set import SITES, Size, fake_set
from tests.models.toy import recording


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return fake_set(tmp_path_factory.mktemp("set"), plan={"test": 2}, size=Size(snapshots=3, ues=3))


@pytest.fixture(scope="module")
def lines(shards: ShardSet) -> list[Line]:
    people = [recording(activity, frames=120, part="test") for activity in (0, 3)]
    return street_lines(shards, [0, 1], SITES["toy"], "6 GHz") + people_lines(people)


def _parsed(line: Line) -> Batch:
    return parse_batch(JSON, json.dumps(line.request).encode(), max_frames=256, max_scenes=64)


def test_service_reads_every_request(lines: list[Line]) -> None:
    for line in lines:
        batch = _parsed(line)
        assert [part for part in (*batch.scenes, *batch.frames) if isinstance(part, InvalidInput)] == []
        assert len(batch.frames) == len(line.truth)


def test_requests_carry_what_the_shards_hold(shards: ShardSet, lines: list[Line]) -> None:
    for number, line in enumerate(lines[:6]):
        episode, k = divmod(number, 3)
        arrays = shards.read("toy", episode)
        batch = _parsed(line)
        (scene,) = batch.scenes
        assert isinstance(scene, SiteScene)
        whole = captures(arrays, SITES["toy"])[k]
        assert scene.capture.camera == whole.camera
        for name in ("radar", "lidar"):
            np.testing.assert_array_equal(getattr(scene.capture, name), getattr(whole, name))
        assert len(batch.frames) == 3 - episode  # the third is away in the second episode
        for ue, (frame, truth) in enumerate(zip(batch.frames, line.truth, strict=True)):
            assert isinstance(frame, SiteFrame)
            np.testing.assert_array_equal(frame.frame.csi, measured_csi(arrays, 1)[k, ue])
            np.testing.assert_allclose(truth["position_enu_m"], arrays["ue_position_m"][k, ue, :2], atol=1e-3)
            assert truth["los"] == (arrays["blocker"][k, ue] == 0)


def test_time_of_a_terminal_always_rises(lines: list[Line]) -> None:
    times = defaultdict(list)
    for line in lines:
        for frame in line.request["frames"]:
            times[frame["site"], frame["ue"]].append(frame["timestamp_s"])
    assert len(times) == 3 + 2 + 2
    for seen in times.values():
        assert (np.diff(seen) > 0).all()
    np.testing.assert_allclose(np.diff(times["radhar", "person-0"]), 1 / 3)
    street = [line.request["frames"][0]["timestamp_s"] for line in lines[:6]]
    assert (np.diff(street) > 0).all()  # one episode after the other


def test_people_are_asked_for_what_they_do(lines: list[Line]) -> None:
    for k, line in enumerate(lines[6:]):
        assert [truth["activity"] for truth in line.truth] == [ACTIVITIES[0], ACTIVITIES[3]]
        scene = _parsed(line).scenes[1]
        assert isinstance(scene, SiteScene)
        np.testing.assert_array_equal(scene.capture.radar, recording(3, frames=120, part="test").window(k))


def test_sample_has_the_first_two_test_files_of_every_activity() -> None:
    people = [
        recording(activity, frames=frames, part=part, name=f"{part}-{number}")
        for activity in (4, 1)
        for number, (part, frames) in enumerate(
            [("test", 80), ("train", 120), ("test", 120), ("val", 120), ("test", 120), ("test", 90)]
        )
    ]
    chosen = sample_people(people[::-1])
    assert [(r.activity, r.name) for r in chosen] == [(1, "test-2"), (1, "test-4"), (4, "test-2"), (4, "test-4")]
    assert all(r.windows >= sample.PEOPLE_WINDOWS for r in chosen)


def test_same_lines_give_the_same_bytes_and_the_demo_reads_them(lines: list[Line], tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        sample.write(lines, tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    exchanges = read_recording(tmp_path / "a.jsonl.gz")
    assert [exchange.request for exchange in exchanges] == [json.loads(json.dumps(line.request)) for line in lines]


@pytest.mark.parametrize("array", [np.arange(6, dtype=">f4").reshape(2, 3), np.array([1 + 2j], np.complex64)])
def test_tensor_is_little_endian_in_c_order(array: NDArray[np.generic]) -> None:
    wire = tensor(array.T)
    back = np.frombuffer(base64.b64decode(wire["data"]), np.dtype(wire["dtype"]).newbyteorder("<"))
    np.testing.assert_array_equal(back.reshape(wire["shape"]), array.T)
