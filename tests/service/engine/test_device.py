from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort
import pytest

from service.contract.tensors import TensorSpec
from service.engine.device import PROVIDERS, Device, require_provider, require_use
from service.errors import ArtifactError
from tests.service.engine.artifacts import write_artifact

ROWS = (TensorSpec("steps", "float32", ("B", "T", 32), "", ""), TensorSpec("site", "int64", ("B",), "", ""))


@dataclass
class Node:
    op_type: str


@dataclass
class Part:
    ep_name: str
    operators: tuple[str, ...]

    def get_nodes(self) -> list[Node]:
        return [Node(operator) for operator in self.operators]


def test_the_cpu_needs_no_options() -> None:
    assert Device().options("a: b", b"", ROWS, (), {}) == [("CPUExecutionProvider", {})]


def test_cuda_is_asked_for_alone_with_what_it_may_use() -> None:
    assert Device("cuda").options("a: b", b"", ROWS, (1, 8), {}) == [
        (
            "CUDAExecutionProvider",
            {
                "arena_extend_strategy": "kSameAsRequested",
                "cudnn_conv_algo_search": "EXHAUSTIVE",
                "use_tf32": "0",
                "enable_cuda_graph": "1",
            },
        )
    ]
    ((_, options),) = Device("cuda", memory_bytes=1 << 30, cuda_graphs=False, tf32=True).options("a", b"", ROWS, (), {})
    assert (options["gpu_mem_limit"], options["enable_cuda_graph"], options["use_tf32"]) == ("1073741824", "0", "1")


def test_tensorrt_builds_one_engine_for_all_buckets_and_leaves_the_rest_to_cuda() -> None:
    (first, tensorrt), (second, cuda) = Device("tensorrt").options("a: b", b"", ROWS, (1, 4, 32), {"T": 8})
    assert (first, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert cuda["enable_cuda_graph"] == "0"
    assert tensorrt == {
        "trt_fp16_enable": "0",
        "trt_profile_min_shapes": "steps:1x8x32,site:1",
        "trt_profile_opt_shapes": "steps:4x8x32,site:4",
        "trt_profile_max_shapes": "steps:32x8x32,site:32",
    }


def test_tensorrt_keeps_engines_by_the_weights_that_they_are_of(tmp_path: Path) -> None:
    device = Device("tensorrt", tensorrt_fp16=True, tensorrt_cache=tmp_path, memory_bytes=5)
    one, other = (device.options("city: encode", weights, ROWS, (), {})[0][1] for weights in (b"one", b"other"))
    assert one["trt_engine_cache_prefix"].startswith("city-encode-")
    assert one["trt_engine_cache_prefix"] != other["trt_engine_cache_prefix"]
    assert (one["trt_engine_cache_enable"], one["trt_engine_cache_path"]) == ("1", str(tmp_path))
    assert (one["trt_fp16_enable"], one["trt_max_workspace_size"]) == ("1", "5")


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_this_build_lacks_is_refused(provider: str) -> None:
    if PROVIDERS[provider] in ort.get_available_providers():
        pytest.skip("this build has it")
    with pytest.raises(ArtifactError, match=f"expected {PROVIDERS[provider]} as asked for, but this ONNX Runtime has"):
        require_provider(provider)  # type: ignore[arg-type]


@pytest.mark.parametrize("used", [["CPUExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"], []])
def test_a_session_that_went_elsewhere_is_refused(used: list[str]) -> None:
    with pytest.raises(ArtifactError, match="expected TensorrtExecutionProvider as asked for, got"):
        require_use("a: b", "tensorrt", used, [])


def test_nodes_that_were_left_to_the_cpu_are_refused_by_name_unless_they_compute_sizes() -> None:
    used = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    most = Part("CUDAExecutionProvider", ("Conv",))
    require_use("a: b", "cuda", used, [most, Part("CPUExecutionProvider", ("Shape", "Gather", "Concat"))])
    with pytest.raises(ArtifactError, match=r"a: b: expected all that computes on CUDA.* for 2 × Conv, 1 × TopK"):
        require_use("a: b", "cuda", used, [most, Part("CPUExecutionProvider", ("Conv", "Shape", "TopK", "Conv"))])


def test_a_provider_that_took_nothing_of_a_graph_is_refused() -> None:
    used = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    cuda, tensorrt = Part("CUDAExecutionProvider", ("Conv",)), Part("TensorrtExecutionProvider", ("Conv",))
    require_use("a: b", "tensorrt", used, [cuda, tensorrt])
    with pytest.raises(
        ArtifactError, match=r"expected all that computes on TensorrtExecution.* no kernel there for any"
    ):
        require_use("a: b", "tensorrt", used, [cuda])


def test_onnx_runtime_tells_who_has_which_nodes(tmp_path: Path) -> None:
    write_artifact(tmp_path)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    content = (tmp_path / "fuse.onnx").read_bytes()
    parts = ort.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    ).get_provider_graph_assignment_info()
    assert {part.ep_name for part in parts} == {"CPUExecutionProvider"}
    with pytest.raises(ArtifactError, match=r"ONNX Runtime has no kernel there for .*\d × ReduceMean"):
        require_use("tiny: fuse", "cuda", ["CUDAExecutionProvider"], parts)
