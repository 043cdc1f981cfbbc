"""The same on a GPU, where there is one: it was never there when this was written."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from service.contract.tensors import CONTRACTS
from service.engine.device import PROVIDERS, Device
from service.engine.lanes import BufferLane
from service.engine.onnx_engine import OnnxEngine
from service.errors import ArtifactError
from service.settings import Settings
from tests.service.engine.generic import write_generic
from tests.service.engine.inputs import encode_inputs, fuse_inputs, radio_encode_inputs, radio_fuse_inputs

ZOO = Settings().models
INPUTS = {
    "gated-fusion": {
        "encode": lambda rows: encode_inputs(rows, rows, 1 + rows // 3),
        "fuse": lambda r: fuse_inputs(r, r),
    },
    "scadf-moe": {"encode": lambda rows: radio_encode_inputs(rows, rows), "fuse": lambda r: radio_fuse_inputs(r, r)},
}


@pytest.fixture(scope="module", autouse=True)
def _a_gpu(tmp_path_factory: pytest.TempPathFactory) -> None:
    if PROVIDERS["cuda"] not in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA")
    folder = tmp_path_factory.mktemp("doubler")
    write_generic(folder)
    try:
        OnnxEngine.load(folder, Device("cuda"))
    except ArtifactError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=[True, False], ids=["replayed", "launched"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    device = Device("cuda", cuda_graphs=request.param)
    yield device
    device.thread.shutdown()


@pytest.mark.parametrize("name", list(INPUTS))
def test_it_answers_as_the_cpu_does_from_buffers_that_never_move(device: Device, name: str) -> None:
    cpu, gpu = OnnxEngine.load(ZOO / name, intra_op_threads=1), OnnxEngine.load(ZOO / name, device, buckets=(1, 4, 16))
    gpu.warm_up()
    assert gpu.providers[0] == PROVIDERS["cuda"]
    assert set(CONTRACTS[cpu.manifest.contract].graphs) == set(INPUTS[name])
    lanes = [lane for graph in gpu._graphs.values() for lane in graph._lanes]
    assert all(isinstance(lane, BufferLane) for lane in lanes)
    before = [lane.addresses() for lane in lanes if isinstance(lane, BufferLane)]
    for graph, inputs in INPUTS[name].items():
        for rows in (1, 3, 4, 16, 3, 20):
            ours, theirs = gpu.run(graph, inputs(rows)), cpu.run(graph, inputs(rows))
            for tensor, expected in theirs.items():
                np.testing.assert_allclose(ours[tensor], expected, rtol=1e-3, atol=1e-3, err_msg=f"{graph} {tensor}")
    assert [lane.addresses() for lane in lanes if isinstance(lane, BufferLane)] == before


def test_threads_at_once_get_their_own_answers(device: Device) -> None:
    name = "scadf-moe"
    cpu, gpu = OnnxEngine.load(ZOO / name, intra_op_threads=1), OnnxEngine.load(ZOO / name, device, buckets=(1, 4, 16))
    jobs = [radio_encode_inputs(seed, 1 + seed % 9) for seed in range(64)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda job: gpu.run("encode", job), jobs))
    for job, answer in zip(jobs, answers, strict=True):
        expected = cpu.run("encode", job)["embedding"]
        np.testing.assert_allclose(answer["embedding"], expected, rtol=1e-3, atol=1e-3)


def test_a_graph_that_cannot_be_padded_runs_too(device: Device, tmp_path: Path) -> None:
    write_generic(tmp_path)
    engine = OnnxEngine.load(tmp_path, device, buckets=())
    x = np.ones((3, 3), np.float32)
    answer = engine.run("model", {"x": x, "picture": np.ones((3, 2), np.uint8)})
    np.testing.assert_array_equal(answer["double"], 2 * x)
