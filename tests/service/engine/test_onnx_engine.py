from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from service.contract.tensors import ENCODE_OUTPUTS, FUSE_OUTPUTS
from service.engine.device import Device
from service.engine.fake import FakeEngine
from service.engine.lanes import ArrayLane
from service.engine.onnx_engine import OnnxEngine
from service.engine.onnx_graph import OnnxGraph
from service.engine.protocol import Plan
from service.errors import ArtifactError, EngineFailure
from tests.service.engine.artifacts import VOCABULARY, graph_text, manifest, write_artifact
from tests.service.engine.inputs import encode_inputs, fuse_inputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "tiny"
    write_artifact(folder)
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path) -> OnnxEngine:
    return OnnxEngine.load(folder, intra_op_threads=1)


class SpySession:
    """A real session that tells which row counts it was run on."""

    def __init__(self, session: ort.InferenceSession, first_input: str) -> None:
        self.rows: list[int] = []
        self.captures: list[int] = []
        self._session = session
        self._first_input = first_input

    def run(self, names: list[str], inputs: dict[str, Any]) -> Any:
        self.rows.append(len(inputs[self._first_input]))
        self.captures.append(len(inputs.get("scene_mask", ())))
        return self._session.run(names, inputs)

    def get_providers(self) -> list[str]:
        return list(self._session.get_providers())


def spy(folder: Path, name: str, first_input: str) -> SpySession:
    session = ort.InferenceSession((folder / f"{name}.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    return SpySession(session, first_input)


def engine_of(sessions: dict[str, list[SpySession]], buckets: tuple[int, ...]) -> OnnxEngine:
    contract = manifest().tensors
    graphs = {
        name: OnnxGraph(
            f"tiny: {name}", specs, [ArrayLane(one, specs) for one in sessions[name]], buckets, contract.steps
        )
        for name, specs in contract.graphs.items()
    }
    return OnnxEngine(manifest(), graphs, threads=1)


def spied(folder: Path, buckets: tuple[int, ...]) -> tuple[OnnxEngine, SpySession, SpySession]:
    encode, fuse = spy(folder, "encode", "csi"), spy(folder, "fuse", "embedding")
    return engine_of({"encode": [encode], "fuse": [fuse]}, buckets), encode, fuse


def test_it_answers_as_the_contract_says(engine: OnnxEngine) -> None:
    encoded = engine.run("encode", encode_inputs(0, frames=5, captures=2))
    fused = engine.run("fuse", fuse_inputs(0, frames=5))
    for specs, outputs in ((ENCODE_OUTPUTS, encoded), (FUSE_OUTPUTS, fused)):
        assert list(outputs) == [spec.name for spec in specs]
        for spec in specs:
            spec.check(outputs[spec.name])
            assert len(outputs[spec.name]) == 5
    assert engine.name == "tiny"
    assert engine.providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize("buckets", [(), (1, 4, 16)])
@pytest.mark.parametrize(("frames", "captures"), [(1, 0), (3, 0), (1, 1), (3, 1), (5, 2), (2, 5), (17, 4)])
def test_it_agrees_with_the_fake_at_any_size_padded_or_not(
    folder: Path, buckets: tuple[int, ...], frames: int, captures: int
) -> None:
    engine, fake = spied(folder, buckets)[0], FakeEngine(manifest())
    for graph, inputs in (
        ("encode", encode_inputs(frames, frames, captures)),
        ("fuse", fuse_inputs(frames, frames)),
    ):
        ours, theirs = engine.run(graph, inputs), fake.run(graph, inputs)
        for name, expected in theirs.items():
            np.testing.assert_allclose(ours[name], expected, rtol=1e-5, atol=1e-5, err_msg=f"{graph} {name}")


def test_rows_are_padded_to_the_next_bucket_and_beyond_to_a_multiple_of_the_last(folder: Path) -> None:
    engine, encode, fuse = spied(folder, (1, 2, 4))
    for frames, captures in ((1, 2), (3, 1), (4, 3), (5, 1), (9, 1)):
        assert len(engine.run("encode", encode_inputs(0, frames, captures))["gate"]) == frames
        assert len(engine.run("fuse", fuse_inputs(0, frames))["position"]) == frames
    assert encode.rows == fuse.rows == [1, 4, 4, 8, 12]
    assert encode.captures == [2, 1, 4, 1, 1]


def test_without_buckets_rows_run_as_they_come(folder: Path) -> None:
    engine, encode, _ = spied(folder, ())
    engine.run("encode", encode_inputs(0, frames=5, captures=3))
    assert (encode.rows, encode.captures) == ([5], [3])


def test_warming_up_runs_every_bucket_of_frames_and_of_captures_on_every_session(folder: Path) -> None:
    encode = [spy(folder, "encode", "csi") for _ in range(2)]
    fuse = [spy(folder, "fuse", "embedding") for _ in range(2)]
    engine_of({"encode": encode, "fuse": fuse}, (1, 2, 4)).warm_up()
    for session in encode:
        assert set(session.rows) == set(session.captures) == {1, 2, 4}
    for session in fuse:
        assert set(session.rows) == {1, 2, 4}


def test_threads_share_the_sessions_and_get_their_own_answers(folder: Path) -> None:
    engine = OnnxEngine.load(folder, intra_op_threads=1, sessions=2)
    assert engine.plan("encode") == Plan(sessions=2, threads=1)
    jobs = [encode_inputs(seed, frames=3, captures=2) for seed in range(24)]
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(partial(engine.run, "encode"), jobs))
    for job, answer in zip(jobs, answers, strict=True):
        np.testing.assert_array_equal(answer["embedding"][:, :1], job["distance"])


def test_an_inference_error_is_an_engine_failure_and_the_session_lives_on(engine: OnnxEngine) -> None:
    inputs = fuse_inputs(0, frames=2)
    inputs["text"] = np.full_like(inputs["text"], VOCABULARY)
    for _ in range(engine.plan("fuse").sessions + 1):
        with pytest.raises(EngineFailure, match=r"tiny: fuse failed on \{'B': 2, 'T': 8\}: "):
            engine.run("fuse", inputs)
    assert len(engine.run("fuse", fuse_inputs(0, frames=2))["position"]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"csi": np.zeros((3, 6, 32, 64), np.float64)}, "csi: expected dtype float32, got float64"),
        ({"aoa": np.zeros((3, 32), np.float32)}, r"aoa: expected shape \['B', 64\], got \[3, 32\]"),
        ({"gain": np.zeros((2, 1), np.float32)}, "gain: expected 3 along B as in the others, got 2"),
        ({"scene_index": np.array([0, 3, 1])}, "scene_index: expected rows from 0 to 2, got 0 to 3"),
        ({"scene_index": np.array([0, -1, 1])}, "scene_index: expected rows from 0 to 2, got -1 to 1"),
    ],
)
@pytest.mark.parametrize("kind", ["onnx", "fake"])
def test_tensors_that_do_not_fit_are_named(engine: OnnxEngine, kind: str, change: Any, message: str) -> None:
    with pytest.raises(EngineFailure, match=message):
        (engine if kind == "onnx" else FakeEngine(manifest())).run("encode", {**encode_inputs(0, 3, 2), **change})


def test_a_missing_tensor_is_named(engine: OnnxEngine) -> None:
    inputs = fuse_inputs(0, frames=2)
    del inputs["age"]
    with pytest.raises(EngineFailure, match="age: expected this tensor, got only embedding, step_mask, text"):
        engine.run("fuse", inputs)


def test_trajectories_have_to_be_padded(engine: OnnxEngine) -> None:
    inputs = {name: array[:, -3:] for name, array in fuse_inputs(0, frames=2).items() if name != "text"}
    with pytest.raises(EngineFailure, match="embedding: expected 8 steps, padded on the left, got 3"):
        engine.run("fuse", {**inputs, "text": fuse_inputs(0, frames=2)["text"]})


def test_a_provider_that_is_not_there_is_refused_not_replaced(folder: Path) -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(ArtifactError, match="expected CUDAExecutionProvider as asked for, but this ONNX Runtime has"):
        OnnxEngine.load(folder, device=Device("cuda"))


@pytest.mark.parametrize(
    ("graph", "old", "new", "message"),
    [
        ("fuse", "los_logit", "los", "fuse outputs: expected the tensors .*los_logit.* in this order, got .*los,"),
        ("fuse", "float[B] ood_score", "float[B] ood_score, float[B, 1] steps", "in this order"),
        ("encode", "float[B, 1] distance, float[B, 1] gain", "float[B, 1] gain, float[B, 1] distance", "in this order"),
        (
            "encode",
            "float[B, 64] aoa",
            "float[B, 65] aoa",
            r"encode inputs: aoa: expected .*'B', 64\], got .*'B', 65\]",
        ),
        ("encode", "float[B, 1] gain", "float[4, 1] gain", r"gain: expected .*'B', 1\], got tensor\(float\) \[4, 1\]"),
        ("encode", "uint8[S", "float[S", r"camera: expected tensor\(uint8\) .*, got tensor\(float\)"),
        (
            "fuse",
            "Mul (pair, metres)",
            "Mul (pooled, zero)",
            r"fuse: expected it to run, got: position: expected shape",
        ),
        (
            "encode",
            "Gather <axis = 0> (masks, scene_index)",
            "Identity (scene_mask)",
            "encode: expected it to run",
        ),
        ("encode", "Div (present, total)", "Squish (present, total)", "a graph that ONNX Runtime can open, got: "),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(
    tmp_path: Path, graph: str, old: str, new: str, message: str
) -> None:
    text = graph_text(graph)
    assert old in text
    write_artifact(tmp_path, graphs={graph: text.replace(old, new)})
    with pytest.raises(ArtifactError, match=message):
        OnnxEngine.load(tmp_path, intra_op_threads=1)


def test_a_graph_may_fix_the_trajectory_length_and_leave_output_sizes_open(tmp_path: Path) -> None:
    text = graph_text("fuse").replace("B, T", "B, 8").replace("float[B, 3] task", "float[rows, n] task")
    write_artifact(tmp_path, graphs={"fuse": text})
    assert len(OnnxEngine.load(tmp_path, intra_op_threads=1).run("fuse", fuse_inputs(0, frames=2))["task_logits"]) == 2


class HeldLane(ArrayLane):
    """A lane that can be held up, and counts its runs."""

    def __init__(self, session: ort.InferenceSession, specs: Any) -> None:
        super().__init__(session, specs)
        self.rows: list[int] = []
        self.may_go = threading.Event()
        self.may_go.set()

    def run(self, inputs: Any, sizes: Any) -> Any:
        self.rows.append(sizes["B"])
        assert self.may_go.wait(10)
        return super().run(inputs, sizes)


def test_a_row_alone_runs_wide_while_nothing_else_runs(folder: Path) -> None:
    specs = manifest().tensors.graphs["fuse"]
    session = ort.InferenceSession((folder / "fuse.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    narrow, wide = HeldLane(session, specs), HeldLane(session, specs)
    steps = manifest().tensors.steps
    graph = OnnxGraph("tiny: fuse", specs, [narrow, narrow], steps=steps)
    graph.widen(OnnxGraph("tiny: fuse", specs, [wide], steps=steps), after=1)
    one, two = fuse_inputs(0, frames=1), fuse_inputs(1, frames=2)
    for inputs in (one, one, two, one, one):
        graph.run(inputs)
    assert (narrow.rows, wide.rows) == ([1, 2, 1], [1, 1])
    wide.may_go.clear()
    with ThreadPoolExecutor(2) as threads:
        alone = threads.submit(graph.run, one)
        while len(wide.rows) < 3:
            time.sleep(0.001)
        graph.run(one)  # the wide one is taken
        wide.may_go.set()
        alone.result(10)
        narrow.may_go.clear()
        busy = threads.submit(graph.run, two)
        while len(narrow.rows) < 5:
            time.sleep(0.001)
        second = threads.submit(graph.run, one)  # it is not alone
        while len(narrow.rows) < 6:
            time.sleep(0.001)
        narrow.may_go.set()
        busy.result(10)
        second.result(10)
    assert (narrow.rows, wide.rows) == ([1, 2, 1, 1, 2, 1], [1, 1, 1])
