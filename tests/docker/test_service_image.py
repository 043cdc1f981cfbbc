"""The serving images, built step by step from their Dockerfile and run as they would be in a container."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.docker.chroot import first_process
from tests.docker.container import Container
from tests.docker.image_builder import Image, ImageBuilder

pytestmark = pytest.mark.slow

READY_TIMEOUT_S = 60.0
STREAM_S = 14  # long enough for a line of figures
LARGEST_MB = 450.0  # more than this and something is in the image for the CPU that should not be
DRIVER_MISSING = "libcuda.so.1: cannot open shared object file: No such file or directory"


@pytest.fixture(scope="module")
def builder(builder_of: Callable[[str], ImageBuilder]) -> ImageBuilder:
    return builder_of("service.Dockerfile")


@pytest.fixture(scope="module")
def cpu(builder: ImageBuilder) -> Image:
    return builder.build("cpu")


@pytest.fixture
def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_started_image_becomes_healthy_answers_and_ends_in_order(
    cpu: Image, builder: ImageBuilder, port: str, tmp_path: Path
) -> None:
    service = Container(cpu, tmp_path / "service.log", CELLSENSE_PORT=port)
    with service.started() as process:
        said = _wait_until_healthy(service, process, Container(cpu, tmp_path / "health.log", CELLSENSE_PORT=port))
        assert said.strip() == f"0.0.0.0:{port}: ready, buffer reachable"  # with a Redis of its own, in /tmp
        # What compose.yaml runs as the controller streams to it for a while.
        controller = Container(builder.build("demo"), tmp_path / "controller.log")
        command = (*controller.image.start, "--url", f"http://127.0.0.1:{port}")
        _, printed = controller.run("timeout", str(STREAM_S), *command)
        assert "frames answered, 0 failed, 0 lost" in printed
        assert _answered_frames(port) > 200
        os.kill(first_process(process), signal.SIGTERM)  # what `docker stop` sends to process 1
        assert process.wait(20.0) == 0, service.log.read_text()
    assert "telemetry" not in service.log.read_text()  # of ONNX Runtime


def _wait_until_healthy(service: Container, process: subprocess.Popen[bytes], probe: Container) -> str:
    """Ask with the image's own health check, from inside, until it is content; what it said then."""
    give_up_at = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < give_up_at:
        status, said = probe.run(*probe.image.health_check)
        if status == 0:
            return said
        assert process.poll() is None, service.log.read_text()
    raise AssertionError(service.log.read_text() + probe.log.read_text())


def _answered_frames(port: str) -> float:
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    frames = (line for line in lines if line.startswith("cellsense_frames_total{") and 'status="200"' in line)
    return sum(float(line.split()[-1]) for line in frames)


def test_health_check_fails_where_nothing_runs(cpu: Image, port: str, tmp_path: Path) -> None:
    status, said = Container(cpu, tmp_path / "log", CELLSENSE_PORT=port).run(*cpu.health_check)
    assert status == 1
    assert "expected a gateway that answers /readyz" in said


def test_user_has_no_rights_and_only_tmp_is_writable(cpu: Image, tmp_path: Path) -> None:
    container = Container(cpu, tmp_path / "log")
    assert container.run("id", "-u")[1] == "10001\n"
    assert [place for place in ("", "/opt/cellsense", "/var/tmp", "/tmp") if _can_write(container, place)] == ["/tmp"]
    owned = subprocess.run(["find", cpu.root, "-xdev", "-uid", "10001"], capture_output=True, check=True, text=True)
    assert owned.stdout == ""


def _can_write(container: Container, folder: str) -> bool:
    return container.run("sh", "-c", f"echo x > {folder}/made-by-test")[0] == 0


WHAT_IS_IN_IT = """
import importlib.util, models, os
wanted = ("torch", "onnx", "pip", "setuptools", "matplotlib")
print(os.listdir(models.__path__[0]), [name for name in wanted if importlib.util.find_spec(name)])
"""


def test_image_holds_the_service_and_its_artifacts_but_nothing_that_trains_or_builds(
    cpu: Image, tmp_path: Path
) -> None:
    assert Container(cpu, tmp_path / "log").run("python3", "-c", WHAT_IS_IN_IT) == (0, "['zoo'] []\n")
    assert not list(cpu.root.glob("usr/bin/*gcc*")) + list(cpu.root.glob("usr/bin/pip*"))


def test_image_is_small(cpu: Image, builder: ImageBuilder) -> None:
    for name in ("base", "cpu", "demo"):
        print(f"{name}: {builder.build(name).size_mb:.0f} MB")
    assert cpu.size_mb < LARGEST_MB


LOAD_CUDA = """
import ctypes, pathlib, onnxruntime
onnxruntime.preload_dlls()  # as the engine does
folder = pathlib.Path(onnxruntime.__file__).parent / "capi"
ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), ctypes.RTLD_GLOBAL)
try:
    ctypes.CDLL(str(folder / "libonnxruntime_providers_cuda.so"))
except OSError as error:
    print(error)
"""


def test_cuda_image_lacks_only_the_driver_and_says_so_where_there_is_none(
    builder: ImageBuilder, port: str, tmp_path: Path
) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU: nothing is lacking")
    cuda = builder.build("cuda")
    print(f"cuda: {cuda.size_mb:.0f} MB")
    container = Container(cuda, tmp_path / "log")
    status, printed = container.run("python3", "-c", LOAD_CUDA)
    assert (status, printed.strip()) == (0, DRIVER_MISSING)
    status, printed = container.run("cellsense", "serve", "--port", port)
    assert status == 2
    assert "provider: expected CUDAExecutionProvider as asked for, got CPUExecutionProvider" in printed
