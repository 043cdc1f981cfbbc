"""Artifacts of the radio contract: read, run and merged by the same code as those of the multimodal one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.contract.manifest import contract_fingerprint
from service.contract.tensors import MULTIMODAL, RADIO, RADIO_ENCODE_OUTPUTS, RADIO_FUSE_OUTPUTS, Contract
from service.engine.artifact import read_artifact
from service.engine.fake_radio import FakeRadioEngine
from service.engine.merging import merging
from service.engine.onnx_engine import OnnxEngine
from service.engine.protocol import Engine
from service.errors import ArtifactError, EngineFailure
from tests.service.engine.artifacts import STREET, graph_text, manifest, write_artifact
from tests.service.engine.inputs import encode_inputs, radio_encode_inputs, radio_fuse_inputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "radio"
    write_artifact(folder, "radio", (STREET,), contract=RADIO)
    return folder


@pytest.fixture(scope="module", params=["fake", "onnx"])
def engine(request: pytest.FixtureRequest, folder: Path) -> Engine:
    if request.param == "fake":
        return FakeRadioEngine(manifest("radio", (STREET,), contract=RADIO))
    return OnnxEngine.load(folder, intra_op_threads=1)


def test_a_whole_artifact_is_read_with_the_fingerprint_of_its_contract(folder: Path) -> None:
    found, graphs = read_artifact(folder)
    assert (found.tensors, found.fingerprint) == (RADIO, contract_fingerprint(RADIO))
    assert found.sites == (STREET,)
    assert set(graphs) == set(RADIO.graphs)


@pytest.mark.parametrize(
    ("made_for", "claimed"), [(RADIO, MULTIMODAL), (MULTIMODAL, RADIO)], ids=["radio", "multimodal"]
)
def test_an_artifact_that_claims_the_other_contract_is_refused(
    tmp_path: Path, made_for: Contract, claimed: Contract
) -> None:
    written = write_artifact(tmp_path, "mixed", (STREET,), contract=made_for)
    replace(written, contract=claimed.name).save(tmp_path)
    with pytest.raises(ArtifactError, match="expected contract fingerprint"):
        read_artifact(tmp_path)


@pytest.mark.parametrize("buckets", [(), (1, 4, 16)])
@pytest.mark.parametrize("frames", [1, 3, 17])
def test_it_agrees_with_the_fake_at_any_size_padded_or_not(folder: Path, buckets: tuple[int, ...], frames: int) -> None:
    ours = OnnxEngine.load(folder, intra_op_threads=1, buckets=buckets)
    theirs = FakeRadioEngine(ours.manifest)
    for graph, specs, inputs in (
        ("encode", RADIO_ENCODE_OUTPUTS, radio_encode_inputs(frames, frames)),
        ("fuse", RADIO_FUSE_OUTPUTS, radio_fuse_inputs(frames, frames)),
    ):
        found, expected = ours.run(graph, inputs), theirs.run(graph, inputs)
        assert list(found) == list(expected) == [spec.name for spec in specs]
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5, err_msg=f"{graph} {name}")


def test_it_warms_up_with_and_without_buckets(folder: Path) -> None:
    for buckets in ((), (1, 4)):
        OnnxEngine.load(folder, intra_op_threads=1, buckets=buckets).warm_up()


def test_requests_answered_together_get_the_answers_they_get_alone(engine: Engine) -> None:
    sizes = [1, 4, 2]
    for jobs, graph in (
        ([radio_encode_inputs(s, n) for s, n in enumerate(sizes)], "encode"),
        ([radio_fuse_inputs(s, n) for s, n in enumerate(sizes)], "fuse"),
    ):
        for job, answer in zip(jobs, merging(RADIO, graph).run(engine, list(jobs)), strict=True):
            for name, expected in engine.run(graph, job).items():
                np.testing.assert_allclose(answer[name], expected, rtol=1e-6, atol=1e-6)


def test_a_job_counts_its_frames() -> None:
    assert merging(RADIO, "encode").rows(radio_encode_inputs(0, 5)) == 5
    assert merging(RADIO, "fuse").rows(radio_fuse_inputs(0, 3)) == 3


def test_tensors_of_the_other_contract_are_named(engine: Engine) -> None:
    with pytest.raises(EngineFailure, match="measured_distance: expected this tensor, got only camera"):
        engine.run("encode", encode_inputs(0, 3, 2))


@pytest.mark.parametrize(
    ("graph", "old", "new", "message"),
    [
        ("encode", "float[B, 4] cue_mask, float[B, 1] carrier", "float[B, 1] carrier, float[B, 4] cue_mask", "in this"),
        ("encode", "int64[B] site", "float[B] site", r"site: expected tensor\(int64\) .*, got tensor\(float\)"),
        ("fuse", "float[B, 16, 128]", "float[B, 8, 128]", r"embedding: expected .*16, 128\], got .*8, 128\]"),
        ("fuse", "Mul (pair, metres)", "Mul (position, metres)", "a graph that ONNX Runtime can open, got: "),
        ("fuse", "Identity (position)", "Slice (position, start, one, one)", "fuse: expected it to run, got: centroid"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(
    tmp_path: Path, graph: str, old: str, new: str, message: str
) -> None:
    text = graph_text(graph, RADIO)
    assert old in text
    write_artifact(tmp_path, "radio", (STREET,), {graph: text.replace(old, new)}, RADIO)
    with pytest.raises(ArtifactError, match=message):
        OnnxEngine.load(tmp_path, intra_op_threads=1)
