from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
import pytest

from service.engine.loading import loader
from service.engine.protocol import Plan
from service.errors import ArtifactError
from service.settings import Settings
from tests.service.engine.generic import write_generic


def test_an_artifact_is_opened_as_the_settings_say(tmp_path: Path) -> None:
    write_generic(tmp_path)
    engine = loader(Settings(sessions=3, intra_op_threads=2), cores=8)(tmp_path)
    assert engine.plan("model") == Plan(sessions=3, threads=2)
    assert engine.providers == ("CPUExecutionProvider",)


def test_cores_are_shared_out_among_sessions_without_threads(tmp_path: Path) -> None:
    write_generic(tmp_path)
    assert loader(Settings(sessions=2), cores=8)(tmp_path).plan("model") == Plan(sessions=2, threads=4)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_is_refused_not_replaced(tmp_path: Path, provider: str) -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    write_generic(tmp_path)
    with pytest.raises(ArtifactError, match=r"as asked for, but this ONNX Runtime has only .*onnxruntime-gpu in place"):
        loader(Settings(provider=provider), cores=1)(tmp_path)
