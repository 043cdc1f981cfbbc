from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from service.contract.tensors import RADIO, RADIO_ENCODE_OUTPUTS, RADIO_FUSE_OUTPUTS
from service.engine.fake_radio import CARRIER, DISTANCE, SITE, FakeRadioEngine
from service.errors import EngineFailure
from tests.service.engine.artifacts import STREET, manifest
from tests.service.engine.inputs import fuse_inputs, radio_encode_inputs, radio_fuse_inputs

MANIFEST = manifest("radio", (STREET,), contract=RADIO)


def test_it_answers_as_the_contract_says() -> None:
    engine = FakeRadioEngine(MANIFEST)
    answers = engine.encode(radio_encode_inputs(0, 5)), engine.fuse(radio_fuse_inputs(0, 5))
    for specs, outputs in zip((RADIO_ENCODE_OUTPUTS, RADIO_FUSE_OUTPUTS), answers, strict=True):
        assert list(outputs) == [spec.name for spec in specs]
        for spec in specs:
            spec.check(outputs[spec.name])
            assert len(outputs[spec.name]) == 5
    np.testing.assert_allclose(answers[0]["router_weight"].sum(1), 1)
    np.testing.assert_allclose(answers[1]["step_weight"].sum(1), 1, rtol=1e-6)


def test_what_is_measured_beside_the_channel_can_be_read_off_the_embedding() -> None:
    inputs = radio_encode_inputs(0, 4)
    embedding = FakeRadioEngine(MANIFEST).encode(inputs)["embedding"]
    np.testing.assert_array_equal(embedding[:, DISTANCE], inputs["measured_distance"][:, 0])
    np.testing.assert_array_equal(embedding[:, CARRIER], inputs["carrier"][:, 0])
    np.testing.assert_array_equal(embedding[:, SITE], inputs["site"])


def test_the_newest_vertex_of_a_lone_frame_is_its_position() -> None:
    inputs = radio_fuse_inputs(0, 3)
    for tensor in inputs.values():
        tensor[:, :-1] = 0
    fused = FakeRadioEngine(MANIFEST).fuse({**inputs, "step_mask": (inputs["step_mask"] > 0).astype(np.float32)})
    np.testing.assert_array_equal(fused["path_position"][:, -1], fused["position"])
    np.testing.assert_array_equal(fused["centroid"], fused["position"])


def test_a_fault_can_be_caused_before_either_graph() -> None:
    def before(graph: str) -> None:
        raise RuntimeError(graph)

    engine = FakeRadioEngine(MANIFEST, before)
    with pytest.raises(RuntimeError, match="encode"):
        engine.encode(radio_encode_inputs(0, 1))
    with pytest.raises(RuntimeError, match="fuse"):
        engine.fuse(radio_fuse_inputs(0, 1))


def test_tensors_of_the_other_contract_do_not_fit() -> None:
    with pytest.raises(EngineFailure, match=r"embedding: expected shape \['B', 16, 128\], got \[2, 8, 128\]"):
        FakeRadioEngine(MANIFEST).fuse(fuse_inputs(0, 2))


def test_rows_do_not_mix() -> None:
    engine = FakeRadioEngine(MANIFEST)
    for run, inputs in ((engine.encode, radio_encode_inputs(0, 6)), (engine.fuse, radio_fuse_inputs(0, 6))):
        whole = run(inputs)
        alone = run({name: array[3:4] for name, array in inputs.items()})
        for name, array in alone.items():
            np.testing.assert_array_equal(array, whole[name][3:4])


def test_serving_code_does_not_load_the_fake() -> None:
    code = (
        "import sys, service.engine.onnx_engine, service.engine.discovery, service.pipeline.pipeline;"
        "sys.exit('service.engine.fake_radio' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
