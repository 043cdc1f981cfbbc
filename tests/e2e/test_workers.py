"""The gateway as several real processes: what they count, what they share, and how they end."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.e2e.gateway_process import STOP_TIMEOUT_S, Served, post_head, serving
from tests.e2e.load import Tally, load
from tests.service.api.requests import Json, channel, tensor
from tests.service.api.scraped import Samples, samples_of, total
from tests.service.engine.artifacts import write_artifact

PATIENCE_S = 120.0
WORKERS = 3


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_artifact(tmp_path / "models" / "tiny")
    return tmp_path / "models"


def scrape(served: Served) -> Samples:
    response = httpx.get(f"{served.url}/metrics", timeout=60.0)
    assert response.status_code == 200, served.log.read_text()
    return samples_of(response.text)


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def workers_of(served: Served) -> list[psutil.Process]:
    """The processes that answer requests."""
    return [child for child in psutil.Process(served.process.pid).children() if child.name() == "cellsense-http"]


def engine_of(served: Served) -> psutil.Process:
    """The process that has the models."""
    children = psutil.Process(served.process.pid).children()
    return next(child for child in children if child.name() == "cellsense-model")


def assert_counted(samples: Samples, *tallies: Tally) -> None:
    """The service has counted just what the load generator has."""
    for status in ("200", "404", "422", "500", "503"):
        frames, requests = (sum(getattr(t, kind)[status] for t in tallies) for kind in ("frames", "requests"))
        assert total(samples, "cellsense_frames_total", status=status) == frames, status
        counted = total(samples, "cellsense_request_duration_seconds_count", route="/v1/sense", status=status)
        assert counted == requests, status
    answered = sum(t.frames["200"] for t in tallies)
    assert total(samples, "cellsense_ood_score_count", site="munich") == answered
    assert total(samples, "cellsense_gate_weight_count", site="munich", modality="csi") == answered
    assert total(samples, "cellsense_batch_rows_sum", model="tiny-encode") == answered
    assert total(samples, "cellsense_requests_in_flight") == total(samples, "cellsense_queue_rows") == 0


@pytest.mark.parametrize("workers", [1, WORKERS])
async def test_metrics_equal_what_the_load_generator_counted(tmp_path: Path, models: Path, workers: int) -> None:
    with serving(tmp_path / "log", "--models", str(models), "--workers", str(workers)) as served:
        until(lambda: _ready(served) == workers)
        tally = await load(served.url, "all")
        assert (tally.lost, sum(tally.requests.values())) == (0, 48)
        samples = scrape(served)
    assert_counted(samples, tally)
    assert total(samples, "cellsense_redis_up") == 1
    assert total(samples, "cellsense_process_resident_memory_bytes") > workers * 20e6


async def test_a_killed_process_is_replaced_and_its_counts_stay(tmp_path: Path, models: Path) -> None:
    with serving(tmp_path / "log", "--models", str(models), "--workers", str(WORKERS)) as served:
        until(lambda: _ready(served) == WORKERS)
        before = await load(served.url, "before")
        with socket.create_connection(served.address) as half_way:
            half_way.sendall(post_head(1000) + b"{")
            until(lambda: total(scrape(served), "cellsense_requests_in_flight") == 1)
            victim, others = _at_other_end(served, half_way)
            victim.kill()
        until(lambda: _has_ended(victim))
        samples = scrape(served)
        assert_counted(samples, before)  # and its request is in flight no more
        assert total(samples, "cellsense_workers") in (WORKERS - 1, WORKERS)  # it may have been replaced by now
        meanwhile = await load(served.url, "meanwhile")
        assert meanwhile.lost == 0
        assert set(meanwhile.requests) <= {"200"}  # the new one takes requests only once it is warm
        until(lambda: _ready(served) == WORKERS)
        after = await load(served.url, "after")
        samples = scrape(served)
        assert_counted(samples, before, meanwhile, after)
        assert total(samples, "cellsense_workers") == WORKERS
        replaced = {process.pid for process in workers_of(served)}
        assert len(replaced) == WORKERS
        assert replaced > {process.pid for process in others}
        (folder,) = _folders(served)
        assert len(list(folder.glob("counter_*.db"))) == WORKERS + 1  # and the engine's


def test_connections_of_one_client_are_shared_out_among_the_processes(tmp_path: Path, models: Path) -> None:
    with serving(tmp_path / "log", "--models", str(models), "--workers", str(WORKERS)) as served:
        until(lambda: _ready(served) == WORKERS)
        until(lambda: not any(map(_connections_of, workers_of(served))))
        opened = [socket.create_connection(served.address) for _ in range(4 * WORKERS)]
        until(lambda: sum(map(_connections_of, workers_of(served))) == 4 * WORKERS)
        assert min(map(_connections_of, workers_of(served))) >= 2  # 4 each, unless one of them was late
        for connection in opened:
            connection.close()


def test_trajectories_and_labels_do_not_depend_on_who_answers(tmp_path: Path, models: Path) -> None:
    with serving(tmp_path / "log", "--models", str(models), "--workers", str(WORKERS)) as served:
        until(lambda: _ready(served) == WORKERS)
        start_s, steps = time.time() - 20, 12
        frame = {"site": "munich", "ue": "walker", "csi": tensor(channel())}
        for step in range(steps):
            body = {"frames": [{**frame, "timestamp_s": start_s + step}]}
            answer = httpx.post(f"{served.url}/v1/sense", json=body, timeout=30.0).json()["results"][0]
            assert answer["explanation"]["trajectory_length"] == min(step + 1, 8)
        truth = {"site": "munich", "ue": "walker", "line_of_sight": True, "position_enu_m": [0.0, 0.0]}
        for step in range(steps):
            labels = {"labels": [{**truth, "timestamp_s": start_s + step}]}
            until(lambda labels=labels: _post_labels(served, labels) == 200)  # type: ignore[misc]  # kept in the background
            assert _post_labels(served, labels) == 200  # whoever is asked, it counts once
        assert total(scrape(served), "cellsense_position_error_meters_count") == steps
        assert len(_embedded_redis(served)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_all_of_it_cleanly(tmp_path: Path, models: Path, number: signal.Signals) -> None:
    with serving(tmp_path / "log", "--models", str(models), "--workers", "2") as served:
        until(lambda: _ready(served) == 2)
        family, folders = psutil.Process(served.process.pid).children(recursive=True), _folders(served)
        served.process.send_signal(number)
        assert served.process.wait(STOP_TIMEOUT_S) == 0
        until(lambda: not any(process.is_running() for process in family))
        assert folders
        assert not any(folder.exists() for folder in folders)
        assert "Traceback" not in served.log.read_text()


def test_when_the_parent_is_killed_nothing_of_it_stays(tmp_path: Path, models: Path) -> None:
    with serving(tmp_path / "log", "--models", str(models), "--workers", "2") as served:
        until(lambda: _ready(served) == 2)
        family, folders = psutil.Process(served.process.pid).children(recursive=True), _folders(served)
        served.process.kill()
        served.process.wait(STOP_TIMEOUT_S)
        until(lambda: not any(process.is_running() for process in family))
        until(lambda: not any(folder.exists() for folder in folders))


def test_service_whose_processes_cannot_warm_up_ends_and_says_so(tmp_path: Path, models: Path) -> None:
    broken = tmp_path / "broken" / "sitecustomize.py"  # read by every process of Python
    broken.parent.mkdir()
    broken.write_text(
        "from service.engine import onnx_engine\n"
        "def warm_up(self):\n    raise RuntimeError('no memory on the device')\n"
        "onnx_engine.OnnxEngine.warm_up = warm_up\n"
    )
    path = f"{broken.parent}{os.pathsep}{Path(__file__).parents[2]}"
    flags = ["--models", str(models), "--workers", "2"]
    with serving(tmp_path / "log", *flags, environment={"PYTHONPATH": path}) as served:
        assert served.process.wait(STOP_TIMEOUT_S) == 1
        assert "no memory on the device" in served.log.read_text()


def test_processes_without_models_end_it_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--models", str(tmp_path), "--workers", "2") as served:
        assert served.process.wait(STOP_TIMEOUT_S) == 1
        log = served.log.read_text()
    assert "expected a folder of artifacts" in log
    assert "Traceback" not in log


def _at_other_end(served: Served, connection: socket.socket) -> tuple[psutil.Process, list[psutil.Process]]:
    """The process that has accepted a connection, and the others."""
    workers, here = workers_of(served), connection.getsockname()
    (accepted,) = (w for w in workers if any(c.raddr == here for c in w.net_connections() if c.raddr))
    return accepted, [worker for worker in workers if worker is not accepted]


def _connections_of(worker: psutil.Process) -> int:
    """How many of the service's port are open there."""
    connections = worker.net_connections("tcp")
    listening = next(c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN)
    return sum(c.laddr.port == listening and c.status == psutil.CONN_ESTABLISHED for c in connections)


def _has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _post_labels(served: Served, labels: Json) -> int:
    return httpx.post(f"{served.url}/v1/labels", json=labels, timeout=30.0).status_code


def _ready(served: Served) -> float:
    assert served.process.poll() is None, served.log.read_text()
    try:
        return total(scrape(served), "cellsense_ready")
    except httpx.TransportError:
        return 0.0


def _folders(served: Served) -> list[Path]:
    """Where the processes count together: the folders of the files that they have mapped."""
    mapped = {m.path for process in workers_of(served) for m in process.memory_maps() if "cellsense-metrics-" in m.path}
    return sorted({Path(path).parent for path in mapped})


def _embedded_redis(served: Served) -> list[str]:
    """The folders of the servers that run beneath the service."""
    family = psutil.Process(served.process.pid).children(recursive=True)
    return sorted({urlsplit(p.cwd()).path for p in family if "redis-server" in " ".join(p.cmdline())})
