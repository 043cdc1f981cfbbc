"""The parts of `tests.bench.sense` that could be wrong without anyone noticing."""

from __future__ import annotations

import http.server
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from service.settings import Settings
from tests.bench.sense import frame_load
from tests.bench.sense.cases import CASES, SEPARATE, SHARED, Case
from tests.bench.sense.material import Material
from tests.bench.sense.raw_graphs import RawGraphs
from tests.bench.sense.rounds import Measurement, Results
from tests.bench.sense.table import table
from tests.bench.sense.template import FORMS, JSON, MESSAGEPACK, UES, Form, template
from tests.bench.sense.tensors import encode_tensors, fuse_tensors
from tests.bench.serving.raw import RawResult, Setting

ZOO = Settings().models
ARTIFACTS = ("gated-fusion", "scadf-moe")
FIXTURE = Case(4, 2, 3)


@pytest.fixture(scope="module", params=ARTIFACTS)
def material(request: pytest.FixtureRequest) -> Material:
    return Material.of(ZOO / str(request.param))


@pytest.fixture(scope="module")
def multimodal() -> Material:
    return Material.of(ZOO / "gated-fusion")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_filled_body_differs_from_the_last_in_every_ue_time_tensor_and_picture(
    multimodal: Material, form: Form
) -> None:
    made = template(form, FIXTURE, multimodal)
    first, second = (form.load(made.filled(number, 1.8e9 + number / 8).body) for number in (7, 8))
    assert [frame["ue"] for frame in first["frames"]] == [f"{form.name}-{ue:08d}" for ue in range(28, 32)]
    assert {frame["timestamp_s"] for frame in second["frames"]} == {1.8e9 + 1}
    assert [frame["scene"] for frame in first["frames"]] == ["capture-0", "capture-1"] * 2
    tensors = [_tensors(document) for document in (first, second)]
    assert len(tensors[0]) == 4 + 2 * 3
    for one, other in zip(*tensors, strict=True):
        assert one != other
        assert len(one) == len(other)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_tensors_of_a_filled_body_stay_what_they_mean(multimodal: Material, form: Form) -> None:
    sent = form.load(template(form, FIXTURE, multimodal).filled(9_999, 1.8e9).body)
    raw = [_bytes(form, data) for data in _tensors(sent)]
    for array in (np.frombuffer(data, np.float32) for data in raw if data[:2] != b"\xff\xd8"):
        assert np.isfinite(array).all()
        assert np.abs(array).max() < 1e6
    for row, scene in enumerate(sent["scenes"]):
        before = np.frombuffer(multimodal.scenes[row]["lidar"]["data"], np.float32)
        after = np.frombuffer(_bytes(form, scene["lidar"]["data"]), np.float32)
        assert (before != after).sum() == 1


def test_ues_take_turns_and_come_back(multimodal: Material) -> None:
    made = template(MESSAGEPACK, FIXTURE, multimodal)
    turns = UES // FIXTURE.frames
    seen = [frame["ue"] for n in range(turns) for frame in MESSAGEPACK.load(made.filled(n, 1.8e9).body)["frames"]]
    assert len(set(seen)) == len(seen) == UES
    assert MESSAGEPACK.load(made.filled(turns, 1.8e9).body)["frames"][0]["ue"] == seen[0]


@pytest.mark.skipif(not shutil.which("wrk"), reason="needs wrk")
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_wrk_posts_what_the_template_says(tmp_path: Path, multimodal: Material, form: Form) -> None:
    made = template(form, FIXTURE, multimodal)
    began_s = time.time()
    with _recording(form.answered * FIXTURE.frames) as (port, bodies):
        load = frame_load.run(port, made, 1, 1, tmp_path, first=UES - 3)
    assert load.requests > 3
    assert load.errors == 0
    times = [form.load(body)["frames"][0]["timestamp_s"] for body in bodies]
    assert began_s - 1e-3 < times[0] < times[-1] < time.time() + 1e-3
    for number, (body, time_s) in enumerate(zip(bodies[:4], times, strict=False)):
        assert body == made.filled(UES - 3 + number, time_s).body


@pytest.mark.skipif(not shutil.which("wrk"), reason="needs wrk")
@pytest.mark.parametrize("answered", [0, 3, 5])
def test_request_of_which_a_frame_failed_is_an_error(tmp_path: Path, multimodal: Material, answered: int) -> None:
    made = template(JSON, FIXTURE, multimodal)
    answer = b"{" + JSON.answered * answered + b'"status":422}'
    with _recording(answer) as (port, bodies):
        load = frame_load.run(port, made, 2, 1, tmp_path)
    assert load.requests == 0
    assert 0 < load.errors <= len(bodies)


def test_tensors_are_those_that_the_graphs_take(material: Material) -> None:
    folder = ZOO / material.manifest.name
    contract = material.manifest.tensors
    for case in CASES[contract.name]:
        tensors = {"encode": encode_tensors(material, case, 16), "fuse": fuse_tensors(material, 16)}
        for graph, inputs in tensors.items():
            assert set(inputs) == {spec.name for spec in contract.graphs[graph][0]}
            for spec in contract.graphs[graph][0]:
                spec.check(inputs[spec.name])
            outputs = ort.InferenceSession(folder / f"{graph}.onnx").run(None, inputs)
            assert all(np.isfinite(output).all() for output in outputs)
        if "camera" in tensors["encode"]:
            assert len(tensors["encode"]["camera"]) == 16 * case.captures // case.frames


def test_a_frame_takes_a_row_of_each_graph_one_after_the_other() -> None:
    graphs = RawGraphs(_alone(300.0, 4.0), _alone(600.0, 2.0))
    assert graphs.frames_per_s == pytest.approx(200)
    assert graphs.cpu_s_per_1000 == pytest.approx(6)


def test_table_has_medians_of_shares_and_what_sharing_a_capture_gains() -> None:
    few, many = SHARED.values()
    results = Results("gated-fusion", "multimodal")
    for number, rates in enumerate(((80.0, 320.0, 400.0), (90.0, 270.0, 400.0), (60.0, 210.0, 400.0)), 1):
        for case, rate in zip((SEPARATE, few, many), rates, strict=True):
            raw = RawGraphs(_alone(4 * rates[0], 1.0), _alone(4 * rates[0], 1.0))
            cost = 8.0 if case == SEPARATE else 2.0
            results.measurements.append(Measurement(number, "JSON", case, raw, rate, 9, 12, 0, cost, 0.3, 300, 250))
    text = table(results)
    assert (
        "| 1 frame, 1 capture; 32 clients, JSON | 80 (0.50 ± 0.00) | 160 | 9.0 ms, 12.0 ms | 8.00 (2.00) | 0.30 |"
        in text
    )
    assert "| 8 frames, 1 capture; 4 clients, JSON | 270 (1.75 ± 0.25) |" in text
    gains = "JSON: 8 UEs in one capture against 8 frames with one each"
    assert f"{gains}, as many frames in flight: 3.50 × the frames/s, 0.25 × the processor time a frame" in text
    assert text.endswith(f"{gains}, as many clients: 5.00 × the frames/s, 0.25 × the processor time a frame")


def _alone(frames_per_s: float, cpu_s_per_1000: float) -> RawResult:
    return RawResult(Setting(2, 1, 2, 8), frames_per_s, 1.0, cpu_s_per_1000, 90.0)


def _tensors(document: dict[str, Any]) -> list[Any]:
    """Data of every tensor and picture."""
    tables = [scene[sensor]["data"] for scene in document["scenes"] for sensor in ("radar", "lidar")]
    pictures = [scene["camera"] for scene in document["scenes"]]
    return [*(frame["csi"]["data"] for frame in document["frames"]), *tables, *pictures]


def _bytes(form: Form, data: Any) -> bytes:
    return bytes(form.digits(data))


@contextmanager
def _recording(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Port of a server that answers every post alike, and the bodies that it was posted."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # wrk leaves without waiting for the last answer
                super().handle()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, bodies
        server.shutdown()
        thread.join()
