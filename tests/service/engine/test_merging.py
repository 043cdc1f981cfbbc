from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.engine.fake import CAMERA, FakeEngine
from service.engine.merging import encode_many, encode_rows, fuse_many, fuse_rows
from service.engine.onnx_engine import OnnxEngine
from service.engine.protocol import Engine, Inputs, Outputs
from tests.service.engine.artifacts import manifest, write_artifact
from tests.service.engine.inputs import encode_inputs, fuse_inputs


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
    together = encode_many(engine, list(jobs))
    for job, answer in zip(jobs, together, strict=True):
        for name, expected in engine.encode(job).items():
            np.testing.assert_allclose(answer[name], expected, rtol=1e-6, atol=1e-6)


def test_requests_fused_together_get_the_answers_they_get_alone(engine: Engine) -> None:
    jobs = [fuse_inputs(seed, frames) for seed, frames in enumerate([1, 5, 2])]
    together = fuse_many(engine, list(jobs))
    for job, answer in zip(jobs, together, strict=True):
        for name, expected in engine.fuse(job).items():
            np.testing.assert_allclose(answer[name], expected, rtol=1e-6, atol=1e-6)


def test_the_empty_captures_of_all_requests_are_encoded_once() -> None:
    engine = RecordingEngine(manifest())
    jobs = [encode_inputs(seed, frames=4, captures=2, missing_row=True) for seed in range(5)]
    for job in jobs:
        job["scene_index"] = np.array([0, 1, 0, 1])
    answers = encode_many(engine, list(jobs))
    assert len(engine.asked["scene_mask"]) == 5 + 1
    for job, answer in zip(jobs, answers, strict=True):
        seen = np.asarray(job["camera"], np.float32)[0].mean()
        np.testing.assert_allclose(answer["embedding"][:, CAMERA], [seen, 0, seen, 0], rtol=1e-6)


def test_captures_that_no_frame_refers_to_are_not_encoded() -> None:
    engine = RecordingEngine(manifest())
    job = encode_inputs(0, frames=3, captures=4, missing_row=True)
    job["scene_index"] = np.array([2, 0, 2])
    (answer,) = encode_many(engine, [job])
    assert len(engine.asked["scene_mask"]) == 2
    seen = np.asarray(job["camera"], np.float32).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(answer["embedding"][:, CAMERA], seen[[2, 0, 2]], rtol=1e-6)


def test_merging_leaves_the_inputs_as_they_were() -> None:
    job = encode_inputs(0, frames=3, captures=3, missing_row=True)
    before = {name: array.copy() for name, array in job.items()}
    encode_many(FakeEngine(manifest()), [job, job])
    for name, array in before.items():
        np.testing.assert_array_equal(job[name], array)


def test_a_job_counts_its_frames_or_the_captures_with_something_in_them() -> None:
    assert encode_rows(encode_inputs(0, frames=5, captures=2)) == 5
    assert encode_rows(encode_inputs(0, frames=2, captures=5)) == 5
    assert encode_rows(encode_inputs(0, frames=1, captures=2, missing_row=True)) == 1
    assert fuse_rows(fuse_inputs(0, frames=3)) == 3
