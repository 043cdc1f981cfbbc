from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.contract.tensors import MULTIMODAL, Contract
from service.engine.fake import CAMERA, FakeEngine
from service.engine.merging import cut, join, merging
from service.engine.onnx_engine import OnnxEngine
from service.engine.packed import Packed, Place
from service.engine.protocol import Engine, Inputs, Outputs
from tests.service.engine.artifacts import manifest, write_artifact
from tests.service.engine.generic import doubler_inputs, write_generic
from tests.service.engine.inputs import encode_inputs, fuse_inputs

ENCODE, FUSE = merging(MULTIMODAL, "encode"), merging(MULTIMODAL, "fuse")


class RecordingEngine(FakeEngine):
    """The fake, which also keeps what it was asked to encode."""

    asked: Inputs

    def encode(self, inputs: Inputs) -> Outputs:
        self.asked = inputs
        return super().encode(inputs)


@pytest.fixture(params=["fake", "onnx"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "fake":
        return FakeEngine(manifest())
    write_artifact(tmp_path)
    return OnnxEngine.load(tmp_path, intra_op_threads=1)


def test_requests_encoded_together_get_the_answers_they_get_alone(engine: Engine) -> None:
    jobs = [encode_inputs(seed, frames, captures, seed % 2 == 0) for seed, (frames, captures) in
            enumerate([(1, 1), (4, 2), (2, 5), (3, 3)])]  # fmt: skip
    together = ENCODE.run(engine, list(jobs))
    for job, answer in zip(jobs, together, strict=True):
        for name, expected in engine.run("encode", job).items():
            np.testing.assert_allclose(answer[name], expected, rtol=1e-6, atol=1e-6)


def test_requests_fused_together_get_the_answers_they_get_alone(engine: Engine) -> None:
    jobs = [fuse_inputs(seed, frames) for seed, frames in enumerate([1, 5, 2])]
    together = FUSE.run(engine, list(jobs))
    for job, answer in zip(jobs, together, strict=True):
        for name, expected in engine.run("fuse", job).items():
            np.testing.assert_allclose(answer[name], expected, rtol=1e-6, atol=1e-6)


def test_captures_in_which_everything_is_missing_are_not_encoded() -> None:
    engine = RecordingEngine(manifest())
    jobs = [encode_inputs(seed, frames=4, captures=2, missing_row=True) for seed in range(5)]
    for job in jobs:
        job["scene_index"] = np.array([0, 1, 0, 1])
    answers = ENCODE.run(engine, list(jobs))
    assert len(engine.asked["scene_mask"]) == 5
    for job, answer in zip(jobs, answers, strict=True):
        seen = np.asarray(job["camera"], np.float32)[0].mean()
        np.testing.assert_allclose(answer["embedding"][:, CAMERA], [seen, 0, seen, 0], rtol=1e-6)


def test_captures_that_no_frame_refers_to_are_not_encoded() -> None:
    engine = RecordingEngine(manifest())
    job = encode_inputs(0, frames=3, captures=4, missing_row=True)
    job["scene_index"] = np.array([2, 0, 2])
    (answer,) = ENCODE.run(engine, [job])
    assert len(engine.asked["scene_mask"]) == 2
    seen = np.asarray(job["camera"], np.float32).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(answer["embedding"][:, CAMERA], seen[[2, 0, 2]], rtol=1e-6)


def test_merging_leaves_the_inputs_as_they_were() -> None:
    job = encode_inputs(0, frames=3, captures=3, missing_row=True)
    before = {name: array.copy() for name, array in job.items()}
    ENCODE.run(FakeEngine(manifest()), [job, job])
    for name, array in before.items():
        np.testing.assert_array_equal(job[name], array)


def test_a_job_counts_its_frames_or_the_captures_with_something_in_them() -> None:
    assert ENCODE.rows(encode_inputs(0, frames=5, captures=2)) == 5
    assert ENCODE.rows(encode_inputs(0, frames=2, captures=5)) == 5
    assert ENCODE.rows(encode_inputs(0, frames=1, captures=2, missing_row=True)) == 1
    assert FUSE.rows(fuse_inputs(0, frames=3)) == 3


def test_a_job_is_cut_into_pieces_alike_and_its_answer_joined() -> None:
    job = fuse_inputs(0, frames=11)
    pieces = cut(job, 4)
    assert [FUSE.rows(piece) for piece in pieces] == [3, 4, 4]
    whole = FakeEngine(manifest()).run("fuse", job)
    joined = join([FakeEngine(manifest()).run("fuse", piece) for piece in pieces])
    for name, expected in whole.items():
        np.testing.assert_array_equal(joined[name], expected)


def test_frames_that_share_captures_are_not_cut() -> None:
    assert (ENCODE.cut, ENCODE.alone, FUSE.cut, FUSE.alone) == (False, False, True, False)


@pytest.mark.parametrize(
    ("inputs", "outputs", "alone"),
    [
        ([("x", ["B", 3])], [("y", ["B"])], False),
        ([("x", ["B", "N"])], [("y", ["B"])], True),  # two requests may differ in N
        ([("x", ["B", 3])], [("mean", [3])], True),  # whose mean?
        ([("x", ["N", 3])], [("y", ["N"])], True),
        ([("x", [3])], [("y", [3])], True),
    ],
)
def test_jobs_of_any_other_graph_run_together_only_where_all_has_rows(
    inputs: list[tuple[str, list[object]]], outputs: list[tuple[str, list[object]]], alone: bool
) -> None:
    ends = {
        end: [{"name": name, "dtype": "float32", "shape": shape} for name, shape in tensors]
        for end, tensors in (("inputs", inputs), ("outputs", outputs))
    }
    found = merging(Contract.from_json("generic", {"model": ends}), "model")
    assert (found.alone, found.cut) == (alone, not alone)
    job = {"x": np.zeros([5 if isinstance(d, str) else int(str(d)) for d in inputs[0][1]], np.float32)}
    assert found.rows(job) == (1 if alone else 5)


@pytest.mark.parametrize("sizes", [[1, 1, 1], [2, 1, 3]])
@pytest.mark.parametrize("mixed", [False, True])
def test_packed_requests_run_together_like_arrays(tmp_path: Path, sizes: list[int], mixed: bool) -> None:
    write_generic(tmp_path)
    engine = OnnxEngine.load(tmp_path, intra_op_threads=1)
    together = merging(engine.manifest.tensors, "model")
    jobs = [doubler_inputs(rows, seed) for seed, rows in enumerate(sizes)]
    shared: dict[int, dict[str, Place]] = {}
    given: list[Inputs] = [_packed(job, shared) for job in jobs]
    if mixed:
        given[1] = jobs[1]
    assert [together.rows(job) for job in given] == sizes
    for job, answer in zip(jobs, together.run(engine, given), strict=True):
        for name, expected in engine.run("model", job).items():
            np.testing.assert_array_equal(answer[name], expected)


def _packed(job: Inputs, shared: dict[int, dict[str, Place]]) -> Packed:
    """As a request brings it: those of the same rows share their places."""
    places, end = {}, 0
    for name, array in job.items():
        places[name] = Place(array.shape, array.dtype, end, end + array.nbytes)
        end += array.nbytes
    data = b"".join(array.tobytes() for array in job.values())
    return Packed(memoryview(bytearray(data)), shared.setdefault(len(next(iter(job.values()))), places))
