"""What runs on a GPU, run on the CPU: the same lanes with their buffers in the memory of the host."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from service.contract.tensors import MULTIMODAL
from service.engine.device import Device
from service.engine.fake import FakeEngine
from service.engine.lanes import BufferLane
from service.engine.onnx_engine import OnnxEngine
from service.engine.onnx_graph import OnnxGraph, fixed_sizes, open_session
from service.errors import EngineFailure
from tests.service.engine.artifacts import VOCABULARY, manifest, write_artifact
from tests.service.engine.inputs import encode_inputs, fuse_inputs

BUCKETS = (1, 2, 4, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "tiny"
    write_artifact(folder)
    return folder


class SpySession:
    """A real session that tells the options of its bound runs, and which thread ran them."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self.recordings: list[int] = []
        self.unbound: list[int] = []
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run_with_iobinding(self, binding: ort.IOBinding, options: ort.RunOptions) -> None:
        self.recordings.append(int(options.get_run_config_entry("gpu_graph_id")))
        self._session.run_with_iobinding(binding, options)

    def run(self, names: list[str], inputs: dict[str, Any], options: ort.RunOptions) -> Any:
        self.unbound.append(int(options.get_run_config_entry("gpu_graph_id")))
        return self._session.run(names, inputs, options)


class Buffered:
    """Both graphs of an artifact on buffers."""

    def __init__(self, folder: Path, buckets: Sequence[int] = BUCKETS, replays: bool = False, ahead: int = 2) -> None:
        self.thread = ThreadPoolExecutor(1, "device")
        self.lanes, self.sessions, graphs = {}, {}, {}
        for name, specs in MULTIMODAL.graphs.items():
            content = (folder / f"{name}.onnx").read_bytes()
            session: Any = open_session(name, content, specs, Device(), 1, (), {})
            if replays:
                session = SpySession(session)
            self.sessions[name] = session
            self.lanes[name] = lane = BufferLane(
                session, specs, buckets, self.thread, "cpu",
                fixed=fixed_sizes(specs, MULTIMODAL.steps), replays=replays, ahead=ahead,
            )  # fmt: skip
            graphs[name] = OnnxGraph(name, specs, [lane] * ahead, buckets, MULTIMODAL.steps)
        self.graphs = graphs
        self.engine = OnnxEngine(manifest(), graphs, threads=1)

    def addresses(self) -> dict[tuple[str, str, int], int]:
        return {(graph, *key): where for graph, lane in self.lanes.items() for key, where in lane.addresses().items()}


@pytest.fixture
def buffered(folder: Path) -> Iterator[Buffered]:
    made = Buffered(folder)
    yield made
    made.thread.shutdown()


@pytest.mark.parametrize(("frames", "captures"), [(1, 1), (3, 1), (5, 2), (2, 5), (8, 8), (9, 2), (33, 4), (2, 11)])
def test_it_agrees_with_the_fake_at_any_size_within_the_buckets_and_beyond(
    buffered: Buffered, frames: int, captures: int
) -> None:
    fake = FakeEngine(manifest())
    for graph, inputs in (
        ("encode", encode_inputs(frames, frames, captures)),
        ("fuse", fuse_inputs(frames, frames)),
    ):
        ours, theirs = buffered.engine.run(graph, inputs), fake.run(graph, inputs)
        assert list(ours) == list(theirs)
        for name, expected in theirs.items():
            np.testing.assert_allclose(ours[name], expected, rtol=1e-5, atol=1e-5, err_msg=f"{graph} {name}")


@pytest.mark.parametrize("frames", BUCKETS)
def test_a_full_bucket_gives_the_very_numbers_that_arrays_give(buffered: Buffered, folder: Path, frames: int) -> None:
    plain = OnnxEngine.load(folder, intra_op_threads=1)
    for graph, inputs in (("encode", encode_inputs(1, frames, frames)), ("fuse", fuse_inputs(1, frames))):
        for name, expected in plain.run(graph, inputs).items():
            np.testing.assert_array_equal(buffered.engine.run(graph, inputs)[name], expected)


def test_all_buffers_are_there_once_warm_and_never_move(buffered: Buffered) -> None:
    buffered.engine.warm_up()
    before = buffered.addresses()
    inputs_and_outputs = sum(len(ends) for specs in MULTIMODAL.graphs.values() for ends in specs)
    assert len(before) == inputs_and_outputs * len(BUCKETS)
    assert len(set(before.values())) == len(before)
    for frames, captures in itertools.product((1, 2, 3, 7, 8, 20), (1, 3, 8)):
        buffered.engine.run("encode", encode_inputs(frames, frames, captures))
        buffered.engine.run("fuse", fuse_inputs(frames, frames))
    assert buffered.addresses() == before


def test_an_answer_is_not_changed_by_the_runs_after_it(buffered: Buffered) -> None:
    first = buffered.engine.run("encode", encode_inputs(0, 4, 2))
    kept = {name: array.copy() for name, array in first.items()}
    for seed in range(1, 4):
        buffered.engine.run("encode", encode_inputs(seed, 4, 2))
    for name, array in kept.items():
        np.testing.assert_array_equal(first[name], array)


def test_threads_at_once_get_their_own_answers(buffered: Buffered) -> None:
    jobs = [encode_inputs(seed, frames=1 + seed % 9, captures=1 + seed % 3) for seed in range(60)]
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda job: buffered.engine.run("encode", job), jobs))
    for job, answer in zip(jobs, answers, strict=True):
        np.testing.assert_array_equal(answer["embedding"][:, :1], job["distance"])


def test_every_pair_of_buckets_is_a_recording_of_its_own_and_nothing_beyond_them_is(folder: Path) -> None:
    buffered = Buffered(folder, buckets=(1, 4), replays=True)
    buffered.engine.warm_up()
    encode = buffered.sessions["encode"]
    assert encode.recordings == [1, 2, 3, 4]  # frames by captures: not 0, which runs without a number share
    assert buffered.sessions["fuse"].recordings == [1, 2]
    assert not encode.unbound
    encode.recordings.clear()
    for frames, captures in ((1, 1), (3, 1), (4, 4), (1, 2), (2, 1)):
        buffered.engine.run("encode", encode_inputs(0, frames, captures))
    assert encode.recordings == [1, 3, 4, 2, 3]
    buffered.engine.run("encode", encode_inputs(0, 5, 1))
    assert (len(encode.recordings), encode.unbound) == (5, [-1])
    buffered.thread.shutdown()


def test_a_failed_run_is_an_engine_failure_and_the_buffers_live_on(buffered: Buffered) -> None:
    inputs = fuse_inputs(0, frames=2)
    inputs["text"] = np.full_like(inputs["text"], VOCABULARY)
    for _ in range(3):
        with pytest.raises(EngineFailure, match=r"fuse failed on \{'B': 2, 'T': 8\}: "):
            buffered.engine.run("fuse", inputs)
    good = fuse_inputs(0, frames=2)
    expected = FakeEngine(manifest()).run("fuse", good)["position"]
    np.testing.assert_allclose(buffered.engine.run("fuse", good)["position"], expected, rtol=1e-5)


def test_a_graph_without_buckets_is_neither_bound_nor_recorded(folder: Path) -> None:
    """A recording of one size, replayed for another, would answer with what the first was asked."""
    buffered = Buffered(folder, buckets=(), replays=True)
    buffered.engine.warm_up()
    fake = FakeEngine(manifest())
    for frames in (2, 5):
        inputs = fuse_inputs(frames, frames)
        found = buffered.engine.run("fuse", inputs)["position"]
        np.testing.assert_allclose(found, fake.run("fuse", inputs)["position"], rtol=1e-5)
    assert not buffered.addresses()
    assert set(buffered.sessions["fuse"].unbound) == {-1}
    buffered.thread.shutdown()
