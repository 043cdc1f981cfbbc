"""The process that has the models for several gateways: who loads what, what is shared, and what happens at its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from tests.e2e.gateway_process import STOP_TIMEOUT_S, Served, free_port, serving
from tests.e2e.test_workers import engine_of, scrape, until, workers_of
from tests.service.api.scraped import total
from tests.service.engine.artifacts import MUNICH, write_artifact
from tests.service.engine.generic import doubler_inputs, write_generic

WORKERS = 2
MODEL = "doubler"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_artifact(tmp_path / "models" / "tiny")
    write_generic(tmp_path / "models" / MODEL)
    return tmp_path / "models"


@pytest.fixture
def served(tmp_path: Path, models: Path) -> Iterator[Served]:
    with serving(tmp_path / "log", "--models", str(models), "--workers", str(WORKERS)) as served:
        until(lambda: ready(served) == WORKERS)
        yield served


def ready(served: Served) -> float:
    assert served.process.poll() is None, served.log.read_text()
    try:
        return total(scrape(served), "cellsense_ready")
    except httpx.TransportError:
        return 0.0


def body(inputs: dict[str, NDArray[np.generic]]) -> dict[str, object]:
    datatypes = {"float32": "FP32", "uint8": "UINT8"}
    return {
        "inputs": [
            {"name": name, "datatype": datatypes[a.dtype.name], "shape": list(a.shape), "data": a.ravel().tolist()}
            for name, a in inputs.items()
        ]
    }


def infer(served: Served, rows: int = 2, seed: int = 0) -> httpx.Response:
    url = f"{served.url}/v2/models/{MODEL}/infer"
    return httpx.post(url, json=body(doubler_inputs(rows, seed)), timeout=30.0)


def assert_right(response: httpx.Response, rows: int = 2, seed: int = 0) -> None:
    assert response.status_code == 200, response.text
    found = {output["name"]: output["data"] for output in response.json()["outputs"]}
    np.testing.assert_allclose(found["double"], (2 * doubler_inputs(rows, seed)["x"]).ravel(), rtol=1e-6)


def mapped(process: psutil.Process) -> str:
    return " ".join(each.path for each in process.memory_maps())


def segments(process: psutil.Process) -> int:
    return sum("memfd:cellsense" in each.path for each in process.memory_maps(grouped=False))


def test_only_the_engine_loads_onnx_runtime_and_it_shares_memory_with_every_gateway(served: Served) -> None:
    assert "onnxruntime" in mapped(engine_of(served))
    assert len(workers_of(served)) == WORKERS
    for process in (psutil.Process(served.process.pid), *workers_of(served)):
        assert "onnxruntime" not in mapped(process)
    assert segments(engine_of(served)) == WORKERS
    assert [segments(worker) for worker in workers_of(served)] == [1] * WORKERS


def test_requests_of_many_connections_are_answered_rightly(served: Served) -> None:
    for seed in range(20):  # a connection each: whichever gateway accepts it
        assert_right(infer(served, rows=1 + seed, seed=seed), rows=1 + seed, seed=seed)
    found = httpx.get(f"{served.url}/v2/models/{MODEL}/stats").json()["model_stats"][0]
    assert found["inference_stats"]["success"]["count"] == 20
    assert found["inference_count"] == sum(range(1, 21))
    samples = scrape(served)
    assert total(samples, "cellsense_batch_rows_sum", model=MODEL) == sum(range(1, 21))
    assert total(samples, "cellsense_compute_duration_seconds_count", model=MODEL) == found["execution_count"]
    assert total(samples, "cellsense_workers") == WORKERS


def test_models_are_loaded_and_unloaded_for_all_gateways(served: Served, models: Path) -> None:
    def states() -> set[int]:
        return {httpx.get(f"{served.url}/v2/models/{MODEL}/ready").status_code for _ in range(10)}

    assert states() == {200}
    assert httpx.post(f"{served.url}/v2/repository/models/{MODEL}/unload").status_code == 200
    until(lambda: states() == {400})
    write_generic(models / MODEL, version="2")
    assert httpx.post(f"{served.url}/v2/repository/models/{MODEL}/load").status_code == 200
    until(lambda: states() == {200})
    assert httpx.get(f"{served.url}/v2/models/{MODEL}").json()["versions"] == ["2"]
    response = httpx.post(f"{served.url}/v2/repository/models/nothing/load")
    assert (response.status_code, response.json()["title"]) == (404, "Unknown model")
    assert_right(infer(served))


def test_killed_engine_is_replaced_and_nobody_hangs(served: Served) -> None:
    over = threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        with httpx.Client(timeout=20.0) as client:
            while not over.is_set():
                response = client.post(f"{served.url}/v2/models/{MODEL}/infer", json=body(doubler_inputs(1)))
                statuses.append(response.status_code)
                if response.status_code == 503:
                    assert "Retry-After" in response.headers
                    time.sleep(0.01)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    until(lambda: len(statuses) > 50)
    before, gateways = engine_of(served), {worker.pid for worker in workers_of(served)}
    before.kill()
    until(lambda: httpx.get(f"{served.url}/readyz").status_code == 503)
    assert httpx.get(f"{served.url}/v2/health/ready").headers["Retry-After"] == "1"
    assert httpx.get(f"{served.url}/v2/models/tiny-encode/ready").status_code == 400
    assert httpx.get(f"{served.url}/v2/health/live").status_code == 200
    until(lambda: ready(served) == WORKERS)
    answered = statuses.count(200)
    until(lambda: statuses.count(200) > answered + 50)
    over.set()
    for thread in asking:
        thread.join()
    assert set(statuses) <= {200, 400, 503}
    assert engine_of(served).pid != before.pid
    assert {worker.pid for worker in workers_of(served)} == gateways
    # What the one that died had counted still counts, at most what was in flight is missing.
    counted = total(scrape(served), "cellsense_batch_rows_sum", model=MODEL)
    assert statuses.count(200) <= counted <= statuses.count(200) + 4


def test_memory_of_a_gateway_that_dies_is_freed_by_the_engine(served: Served) -> None:
    victim = workers_of(served)[0]
    victim.kill()
    until(lambda: victim.pid not in {worker.pid for worker in workers_of(served)} and ready(served) == WORKERS)
    until(lambda: segments(engine_of(served)) == WORKERS)
    assert_right(infer(served))


def test_artifacts_that_changed_while_the_engine_was_away_reach_every_gateway(served: Served, models: Path) -> None:
    write_artifact(models / "tiny", sites=(MUNICH,), name="other")
    before = {worker.pid for worker in workers_of(served)}
    engine_of(served).kill()
    until(lambda: not before & {worker.pid for worker in workers_of(served)} and ready(served) == WORKERS)
    for _ in range(10):
        (site,) = httpx.get(f"{served.url}/v1/sites").json()["sites"]
        assert site["artifact"]["name"] == "other"


def test_engine_that_cannot_start_again_ends_the_service(served: Served, models: Path) -> None:
    (models / "tiny" / "encode.onnx").write_bytes(b"spoilt")
    engine_of(served).kill()
    assert served.process.wait(STOP_TIMEOUT_S) == 1
    log = served.log.read_text()
    assert "SHA-256" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("everyone", [False, True], ids=["the parent is told", "all processes are told"])
async def test_requests_in_flight_are_answered_before_the_engine_ends(served: Served, everyone: bool) -> None:
    """As by `docker stop`, and as by a Ctrl-C or by systemd."""
    content = json.dumps(body(doubler_inputs(2))).encode()
    head = f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    connections = [await asyncio.open_connection(*served.address) for _ in range(4)]
    for _, writer in connections:
        writer.write(head + content[:-1])
    await asyncio.sleep(0.2)
    family = [psutil.Process(served.process.pid), *psutil.Process(served.process.pid).children()]
    for process in family if everyone else family[:1]:
        if process.name() not in ("redis-server", "sh"):
            process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    for _, writer in connections:
        writer.write(content[-1:])
    for reader, writer in connections:
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 200")
        writer.close()
    assert await asyncio.to_thread(served.process.wait, STOP_TIMEOUT_S) == 0
    assert "Traceback" not in served.log.read_text()


def test_grpc_is_answered_by_every_gateway_on_one_port(tmp_path: Path, models: Path) -> None:
    grpc_client = pytest.importorskip("tritonclient.grpc")
    port = free_port()
    flags = ("--models", str(models), "--workers", str(WORKERS), "--grpc-port", str(port))
    with serving(tmp_path / "log", *flags) as served:
        until(lambda: ready(served) == WORKERS)
        for seed in range(6):
            with grpc_client.InferenceServerClient(f"127.0.0.1:{port}") as client:
                tensors = []
                for name, array in doubler_inputs(3, seed).items():
                    datatype = {"float32": "FP32", "uint8": "UINT8"}[array.dtype.name]
                    tensors.append(grpc_client.InferInput(name, list(array.shape), datatype))
                    tensors[-1].set_data_from_numpy(array)
                double = client.infer(MODEL, tensors).as_numpy("double")
            np.testing.assert_array_equal(double, 2 * doubler_inputs(3, seed)["x"])
        with grpc_client.InferenceServerClient(f"127.0.0.1:{port}") as client:
            (found,) = client.get_inference_statistics(MODEL).model_stats
        assert found.inference_stats.success.count == 6


def test_port_that_is_taken_ends_it_at_once(tmp_path: Path, models: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        flags = ("--models", str(models), "--workers", "2", "--port", str(taken.getsockname()[1]))
        with serving(tmp_path / "log", *flags) as served:
            assert served.process.wait(STOP_TIMEOUT_S) == 3
            assert "address already in use" in served.log.read_text().lower()
