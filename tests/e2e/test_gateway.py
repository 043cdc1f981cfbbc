"""The gateway as it is deployed: a real process, real HTTP, real Redis, real ONNX models."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.schemas import AnsweredFrame, Problem, SenseResponse, TrajectoryResponse
from tests.e2e.gateway_process import STOP_TIMEOUT_S, Served, post_head, serving
from tests.service.api.requests import base64_of, channel, detections, jpeg, returns, tensor
from tests.service.engine.artifacts import write_artifact

Json = dict[str, Any]
LIMIT = 400_000  # bytes of a body


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("gateway")
    write_artifact(folder / "models" / "tiny")
    with serving(folder / "log", "--models", str(folder / "models"), "--max-body-bytes", str(LIMIT)) as gateway:
        gateway.wait_for("/readyz", 200)
        yield gateway


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=30.0) as client:
        yield client


def frame(ue: str, seed: int = 0, age_s: float = 0.0, **fields: Any) -> Json:
    return {"site": "munich", "ue": ue, "timestamp_s": time.time() - age_s, "csi": tensor(channel(seed)), **fields}


def scene(name: str) -> Json:
    sensors = {"camera": base64_of(jpeg()), "radar": tensor(detections()), "lidar": tensor(returns())}
    return {"id": name, "site": "munich", **sensors}


def sample(metrics: str, name: str) -> float:
    return sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(name))


def test_every_modality_is_answered_over_real_http(client: httpx.Client) -> None:
    body = {"scenes": [scene("s0")], "frames": [frame("all", scene="s0", text="position los activity")]}
    response = client.post("/v1/sense", json=body)
    assert response.status_code == 200, response.text
    (answer,) = SenseResponse.model_validate_json(response.content).results
    assert isinstance(answer, AnsweredFrame)
    assert answer.explanation.gate == {"csi": 0.25, "camera": 0.25, "radar": 0.25, "lidar": 0.25}
    assert answer.degraded == []


def test_trajectory_grows_from_request_to_request(client: httpx.Client) -> None:
    for step in range(3):
        response = client.post("/v1/sense", json={"frames": [frame("walker", step, age_s=3 - step)]})
        assert response.json()["results"][0]["explanation"]["trajectory_length"] == step + 1
        track = TrajectoryResponse.model_validate_json(client.get("/v1/trajectories/munich/walker").content)
        assert len(track.vertices) == step + 1


def test_bad_frame_fails_alone(client: httpx.Client) -> None:
    good = [frame("good-1", 1), frame("good-2", 2)]
    alone = [client.post("/v1/sense", json={"frames": [{**f, "ue": f["ue"] + "-alone"}]}).json() for f in good]
    bad = {**frame("bad"), "csi": {**tensor(channel()), "shape": [32, 65]}}
    first, failed, last = client.post("/v1/sense", json={"frames": [good[0], bad, good[1]]}).json()["results"]
    assert failed["status"] == 422
    assert failed["error"]["field"] == "frames[1].csi.shape"
    for together, single in zip((first, last), alone, strict=True):
        expected = single["results"][0]["position"]["enu_m"]
        assert together["position"]["enu_m"] == pytest.approx(expected, abs=1e-3)


async def test_requests_that_are_batched_together_do_not_mix(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=30.0) as client:

        async def position(ue: str, seed: int) -> list[float]:
            response = await client.post("/v1/sense", json={"frames": [frame(ue, seed)]})
            enu_m: list[float] = response.json()["results"][0]["position"]["enu_m"]
            return enu_m

        alone = [await position(f"alone-{seed}", seed) for seed in range(12)]
        together = await asyncio.gather(*(position(f"together-{seed}", seed) for seed in range(12)))
    for one, other in zip(alone, together, strict=True):
        assert one == pytest.approx(other, abs=1e-3)


def test_metrics_count_what_was_answered(client: httpx.Client) -> None:
    answered = 'cellsense_frames_total{site="munich",status="200"}'
    before = sample(client.get("/metrics").text, answered)
    client.post("/v1/sense", json={"frames": [frame("counted-1"), frame("counted-2")]})
    text = client.get("/metrics").text
    assert sample(text, answered) == before + 2
    assert sample(text, "cellsense_stage_duration_seconds_count") > 0
    assert sample(text, "cellsense_process_resident_memory_bytes") > 0


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("times", [2, 100])
def test_body_over_the_limit_is_refused_and_the_service_lives_on(
    client: httpx.Client, chunked: bool, times: int
) -> None:
    size = LIMIT * times
    content: Any = (b" " * 65_536 for _ in range(size // 65_536 + 1)) if chunked else b" " * size
    response = client.post("/v1/sense", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert Problem.model_validate_json(response.content).field == "body"
    assert client.post("/v1/sense", json={"frames": [frame(f"after-{chunked}-{times}")]}).status_code == 200


def test_connection_that_is_closed_half_way_leaves_others_alone(served: Served, client: httpx.Client) -> None:
    with socket.create_connection(served.address) as connection:
        connection.sendall(post_head(1000) + b'{"frames": [')
    assert client.post("/v1/sense", json={"frames": [frame("other")]}).status_code == 200
    assert "Traceback" not in served.log.read_text()


def test_log_is_a_json_line_a_request_without_anything_that_it_holds(served: Served, client: httpx.Client) -> None:
    body = {"frames": [frame("secret-ue"), frame("secret-ue", site="atlantis")]}
    client.post("/v1/sense", json=body, headers={"X-Request-Id": "controller-17"})
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    (line,) = (line for line in lines if line.get("request_id") == "controller-17")
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert (line["event"], line["route"], line["status"]) == ("request", "/v1/sense", 200)
    assert (line["frames"], line["failed"]) == (2, {"unknown_site": 1})
    assert "secret" not in served.log.read_text()


def test_documentation_page_is_served(client: httpx.Client) -> None:
    assert "swagger-ui" in client.get("/docs").text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_service_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    write_artifact(tmp_path / "models" / "tiny")
    with serving(tmp_path / "log", "--models", str(tmp_path / "models")) as gateway:
        gateway.wait_for("/healthz", 200)
        ready = gateway.wait_for("/readyz", 200)
        assert ready.json() == {"status": "ready", "buffer": "reachable"}
        gateway.process.send_signal(number)
        assert gateway.process.wait(STOP_TIMEOUT_S) == 0
        log = gateway.log.read_text()
    assert '"sites":["munich"]' in log
    assert '"event":"Ready to serve"' in log
    assert "Traceback" not in log
    assert "Finished server process" in log


def test_request_in_flight_is_answered_before_the_service_ends(tmp_path: Path) -> None:
    write_artifact(tmp_path / "models" / "tiny")
    body = json.dumps({"frames": [frame("last")]}).encode()
    with serving(tmp_path / "log", "--models", str(tmp_path / "models")) as gateway:
        gateway.wait_for("/readyz", 200)
        with socket.create_connection(gateway.address) as connection:
            connection.sendall(post_head(len(body)) + body[:1000])
            gateway.wait_for("/healthz", 200)  # by then it has seen the first half
            gateway.process.terminate()
            time.sleep(0.3)  # it has seen the signal, or sees it with the second half: both must end well
            connection.sendall(body[1000:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert gateway.process.wait(STOP_TIMEOUT_S) == 0


def test_service_that_cannot_warm_up_ends_and_says_so(tmp_path: Path) -> None:
    write_artifact(tmp_path / "models" / "tiny")
    broken = """
from service.engine.onnx_engine import OnnxEngine

def warm_up(self):
    raise RuntimeError("no memory on the device")

OnnxEngine.warm_up = warm_up
from service.cli import main
raise SystemExit(main())
"""
    with serving(tmp_path / "log", "--models", str(tmp_path / "models"), program=("-c", broken)) as gateway:
        assert gateway.process.wait(STOP_TIMEOUT_S) == 1
        assert "no memory on the device" in gateway.log.read_text()


def test_folder_without_models_is_refused_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--models", str(tmp_path)) as gateway:
        assert gateway.process.wait(STOP_TIMEOUT_S) == 2
        assert "expected a folder of artifacts" in gateway.log.read_text()


def test_setting_that_does_not_fit_is_refused_at_once(tmp_path: Path) -> None:
    write_artifact(tmp_path / "tiny")
    flags = ["--models", str(tmp_path), "--redis", "http://user:secret@host"]
    with serving(tmp_path / "log", *flags) as gateway:
        assert gateway.process.wait(STOP_TIMEOUT_S) == 2
        log = gateway.log.read_text()
        assert "redis: expected a URL" in log
        assert "secret" not in log
