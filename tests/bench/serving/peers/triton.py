"""Triton's own server, as nvidia-pytriton carries it, with the Python backend: the bundle has no other."""

from __future__ import annotations

import os
import shutil
import sysconfig
from dataclasses import replace
from pathlib import Path

from service.contract.tensors import TensorSpec
from tests.bench.serving.oip_grpc import OipGrpc
from tests.bench.serving.oip_http import DATATYPES, OipHttp
from tests.bench.serving.peers.program import PROGRAMS, environment
from tests.bench.serving.server import Launch, Server
from tests.bench.serving.tensors import INPUTS, OUTPUTS

_PYTHON = sysconfig.get_python_version()
_CONFIG = """
backend: "python"
max_batch_size: 32
{inputs}
{outputs}
instance_group {{ count: {instances} kind: KIND_CPU }}  # where the backend runs; ONNX Runtime chooses for itself
{batching}
"""


def _command(launch: Launch) -> list[str | Path]:
    bundle = _packages(launch) / "pytriton" / "tritonserver"
    backend = launch.scratch / "backends" / "python"
    shutil.copytree(bundle / "backends" / "python", backend)
    shutil.copy(bundle / "python_backend_stubs" / _PYTHON / "triton_python_backend_stub", backend)
    _write_model(launch)
    return [
        bundle / "bin" / "tritonserver",
        f"--model-repository={launch.scratch / 'models'}",
        f"--backend-directory={backend.parent}",
        "--http-address=127.0.0.1",
        f"--http-port={launch.port}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={launch.port + GRPC.port_offset}",
        "--allow-metrics=false",
    ]


def _environment(launch: Launch) -> dict[str, str]:
    """The backend embeds the interpreter that it finds first, and looks at no PYTHONPATH."""
    libraries = (_packages(launch) / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR"))  # and libpython
    return {
        **environment(launch),
        "PATH": f"{launch.python.parent}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
    }


def _packages(launch: Launch) -> Path:
    return launch.python.parent.parent / "lib" / f"python{_PYTHON}" / "site-packages"


def _write_model(launch: Launch) -> None:
    model = launch.scratch / "models" / launch.artifact.name
    (model / "1").mkdir(parents=True)
    shutil.copy(PROGRAMS / "triton_model.py", model / "1" / "model.py")
    shutil.copy(PROGRAMS / "served_model.py", model / "1")
    config = _CONFIG.format(
        inputs="\n".join(_tensor("input", spec) for spec in INPUTS),
        outputs="\n".join(_tensor("output", spec) for spec in OUTPUTS),
        instances=launch.instances,
        batching=launch.setting["batching"],
    )
    (model / "config.pbtxt").write_text(config)


def _tensor(kind: str, spec: TensorSpec) -> str:
    return f'{kind} {{ name: "{spec.name}" data_type: TYPE_{DATATYPES[spec.dtype]} dims: {list(spec.shape[1:])} }}'


HTTP = Server(
    "triton",
    "Triton, Python backend, OIP HTTP",
    OipHttp(),
    _command,
    "/v2/models/{model}/ready",
    requirements="triton",
    environment=_environment,
    settings=(  # threads for HTTP, a wait for more requests, and one instance or three: all slower or no faster
        {"batching": "dynamic_batching {}"},
        {"batching": "dynamic_batching { preferred_batch_size: 8 }"},
        {"batching": ""},
    ),
)
GRPC = replace(HTTP, name="triton-grpc", title="Triton, Python backend, OIP gRPC", wire=OipGrpc(), port_offset=1)
