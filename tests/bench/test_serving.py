"""The parts of `tests.bench.serving` that could be wrong without anyone noticing."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from tests.bench.serving import bench_model, h2load, wrk
from tests.bench.serving.artifact import MODEL, write_artifact
from tests.bench.serving.correctness import check
from tests.bench.serving.flops import flops
from tests.bench.serving.frames import draw, take
from tests.bench.serving.gateway_ready import ready_in, workers
from tests.bench.serving.measurements import Cell, Failure, Measurement, cells
from tests.bench.serving.oip_http import OipHttp
from tests.bench.serving.peers import PEERS
from tests.bench.serving.peers.programs.served_model import ServedModel
from tests.bench.serving.process_tree import MARK, ProcessTree
from tests.bench.serving.raw import RawResult
from tests.bench.serving.raw import Setting as RawSetting
from tests.bench.serving.raw_bytes import RawBytes
from tests.bench.serving.rounds import RawRound, Results
from tests.bench.serving.search import read_settings
from tests.bench.serving.summary import RawSummary, Summary, summarise, summarise_raw
from tests.bench.serving.table import table
from tests.bench.serving.tensors import OUTPUTS
from tests.bench.serving.wire import Answer

H2LOAD = """
finished in 1.00s, 1793.00 req/s, 310.66KB/s
requests: 1793 total, 1797 started, 1793 done, 1793 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 1793 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 310.66KB (318118) total, 5.55KB (5679) headers (space savings 96.09%), 220.62KB (225918) data
"""


def test_frame_has_the_bytes_of_one_of_ours() -> None:
    assert sum(array.nbytes for array in draw(1).values()) == 68_608


def test_model_is_the_same_every_time_and_as_heavy_as_it_says() -> None:
    model = bench_model.build(bench_model.BENCH)
    assert model.SerializeToString() == bench_model.build(bench_model.BENCH).SerializeToString()
    assert 75e6 < flops(model) < 90e6
    assert 1.5e6 < flops(bench_model.build(bench_model.TINY)) < 2.5e6


def test_flops_of_a_convolution_are_those_of_the_textbook() -> None:
    # 8 channels of 5 × 5 from 3 × 3 × 2 weights and a bias, each weight a multiplication and an addition; then ReLU
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1] * 4), helper.make_node("Relu", ["c"], ["y"])]
    weights = [helper.make_tensor(*w) for w in (("w", 1, [8, 2, 3, 3], [0.0] * 144), ("b", 1, [8], [0.0] * 8))]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["B", c, 5, 5]) for n, c in (("x", 2), ("y", 8)))
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights))
    assert flops(model) == 8 * 25 * (2 * 18 + 1) + 8 * 25


def test_flops_refuse_what_they_do_not_know() -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 5]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Erf", ["x"], ["y"])], "g", [x], [y])
    with pytest.raises(ValueError, match="Erf"):
        flops(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def test_artifact_describes_the_graph_that_it_holds(tmp_path: Path) -> None:
    folder = write_artifact(tmp_path, bench_model.TINY)
    described = json.loads((folder / "manifest.json").read_text())["graphs"]["model"]
    session = ort.InferenceSession(folder / MODEL)
    for specs, tensors in ((described["inputs"], session.get_inputs()), (described["outputs"], session.get_outputs())):
        assert [(s["name"], s["shape"]) for s in specs] == [(t.name, t.shape) for t in tensors]


def test_oip_body_is_what_the_client_of_triton_writes() -> None:
    client = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
    frames = draw(3)
    inputs = []
    for name, array in frames.items():
        inputs.append(client.InferInput(name, array.shape, {"uint8": "UINT8", "float32": "FP32"}[array.dtype.name]))
        inputs[-1].set_data_from_numpy(array)
    outputs = [client.InferRequestedOutput(spec.name, binary_data=True) for spec in OUTPUTS]
    theirs, length = client.InferenceServerClient.generate_request_body(inputs, outputs=outputs)
    ours = OipHttp().request("bench", frames)
    ours_length = int(ours.headers["Inference-Header-Content-Length"])
    assert json.loads(ours.body[:ours_length]) == json.loads(theirs[:length])
    assert ours.body[ours_length:] == theirs[length:]


def test_oip_answer_is_read_as_the_client_of_triton_reads_it() -> None:
    client = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
    position, activity = np.float32([[1, 2], [3, 4]]), np.arange(10, dtype=np.float32).reshape(2, 5)
    described = [
        {"name": n, "datatype": "FP32", "shape": a.shape, "parameters": {"binary_data_size": a.nbytes}}
        for n, a in (("position", position), ("activity_logits", activity))
    ]
    header = json.dumps({"outputs": described}).encode()
    body = header + position.tobytes() + activity.tobytes()
    read = OipHttp().parse(Answer(body, {"inference-header-content-length": str(len(header))}))
    theirs = client.InferenceServerClient.parse_response_body(body, header_length=len(header))
    for name, array in read.items():
        np.testing.assert_array_equal(array, theirs.as_numpy(name))
    assert list(read) == ["position", "activity_logits"]


def test_load_counts_only_what_was_answered_well() -> None:
    output = (
        'Running 1s test\nBENCH {"requests": 1000, "duration_us": 2000000, "connect": 1, "read": 2, "write": 3, '
        '"status": 90, "timeout": 4, "refused": 10, "p50_us": 1500, "p90_us": 2000, "p99_us": 2500}\n'
    )
    load = wrk.parse(output)
    assert (load.requests, load.errors, load.seconds, load.p50_ms, load.p99_ms) == (900, 110, 2.0, 1.5, 2.5)


def test_load_without_a_result_is_an_error() -> None:
    with pytest.raises(OSError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1")


def test_grpc_load_counts_as_failed_what_came_without_a_message() -> None:
    log = "".join(f"1795293637372087\t200\t{1000 * n}\n" for n in range(1, 101))
    assert h2load.parse(H2LOAD, log, 126, 1.0).errors == 0
    load = h2load.parse(H2LOAD.replace("(225918) data", "(126000) data"), log, 126, 1.0)
    assert (load.requests, load.errors) == (1000, 793)
    assert load.p50_ms == pytest.approx(50.5)


@pytest.mark.parametrize("shifted", [0, 1])
def test_check_finds_answers_that_went_to_the_wrong_request(tmp_path: Path, shifted: int) -> None:
    session = ort.InferenceSession(write_artifact(tmp_path, bench_model.TINY) / MODEL)
    names = [output.name for output in session.get_outputs()]
    frames = draw(4)
    expected = dict(zip(names, session.run(names, frames), strict=True))
    rows = {RawBytes().request("tiny", take(frames, row, 1)).body: row for row in range(4)}

    def answer(body: bytes) -> bytes:
        row = rows.get(body)
        arrays = expected if row is None else take(expected, (row + shifted) % 4, 1)
        return b"".join(array.tobytes() for array in arrays.values())

    with _answering(answer) as port:
        if shifted:
            with pytest.raises(ValueError, match="off by up to"):
                check(RawBytes(), port, "tiny", frames, expected, "cpu")
        else:
            check(RawBytes(), port, "tiny", frames, expected, "cpu")


def test_program_of_a_peer_answers_each_of_the_requests_that_it_runs_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_ARTIFACT", str(write_artifact(tmp_path, bench_model.TINY)))
    monkeypatch.setenv("BENCH_PROVIDER", "cpu")
    model, frames = ServedModel(), draw(6)
    whole = model.run(frames)
    requests = [take(frames, 0, 1), take(frames, 1, 3), take(frames, 4, 2)]
    answers = model.answers([RawBytes().request("tiny", frames).body for frames in requests])
    read = [RawBytes().parse(Answer(answer)) for answer in answers]
    for name, expected in zip(model.outputs, whole, strict=True):
        np.testing.assert_allclose(np.concatenate([arrays[name] for arrays in read]), expected, rtol=1e-5, atol=1e-5)


def test_process_tree_has_the_children_and_those_that_left_and_ends_them_all() -> None:
    child = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ntime.sleep(60)"
    parent = (
        "import subprocess, sys\nfor leaves in (False, True):\n"
        f"    subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=leaves)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], env={MARK: "m"}, stdout=subprocess.PIPE, start_new_session=True
    ) as first:
        assert first.stdout
        assert [first.stdout.readline(), first.stdout.readline()] == [b"\n", b"\n"]
        first.wait()  # whose children are orphans now
        tree = ProcessTree(first.pid, "m")
        assert len(tree.processes()) == 2
        assert tree.cpu_s() > 0.5  # the system counts in hundredths
        memory, of_each = tree.memory(), tree.memory_of_each()
        assert 0 < memory.own_mib < memory.pss_mib < memory.rss_mib
        assert sorted(of_each) == sorted(f"{p.pid} -c {' '.join(child.split())}" for p in tree.processes())
        assert sum(each.rss_mib for each in of_each.values()) == pytest.approx(memory.rss_mib, rel=0.1)
        tree.stop()
        assert tree.processes() == []


def test_summary_takes_medians_of_shares_of_what_was_measured_just_before() -> None:
    cell, setting = Cell("bench", 32, 1), RawSetting(2, 1, 2, 8)
    alone = {1: 1000.0, 2: 2000.0, 3: 500.0}
    results = Results(
        raw=[
            RawRound(
                n, server, "bench", RawResult(setting, rate, 9.0, 1.0, 90.0), RawResult(setting, rate, 1.2, 1.0, 90.0)
            )
            for n, f in alone.items()
            for server, rate in (("triton", f), ("ray", 3 * f))
        ],
        measurements=[
            Measurement(n, "triton", cell, alone[n] * share, 10.0 * n, 0, 20.0 * n, n, 1.5, 200.0, 100.0)
            for n, share in ((1, 0.5), (2, 0.8), (3, 0.7))
        ],
    )
    (one,) = summarise(results)
    assert (one.share, one.share_spread, one.p50_ms, one.errors) == (pytest.approx(0.7), pytest.approx(0.15), 20.0, 6)
    (raw,) = summarise_raw(results)
    assert (raw.frames_per_s, raw.p50_ms) == (1750.0, 1.2)


def test_table_has_the_fastest_first_and_says_who_failed() -> None:
    found = [
        _summary(name, cell, share) for name, share in (("litserve", 0.3), ("triton", 0.7)) for cell in cells([1, 32])
    ]
    raw = [RawSummary(name, "2 sessions", 1000.0, 1.2, 1.1, 90.0) for name in ("bench", "tiny")]
    text = table(list(PEERS.values()), raw, found, [Failure("ray", "a long log\nno module named ray")])
    rows = text.splitlines()
    assert [row.split(" | ")[0] for row in rows[2:5]] == [
        "| raw: 2 sessions",
        f"| {PEERS['triton'].title}",
        f"| {PEERS['litserve'].title}",
    ]
    assert len({row.count("|") for row in rows[:5]}) == 1
    assert rows[-1] == "ray failed: no module named ray"


@pytest.mark.parametrize(
    ("arguments", "expected"), [([], 1), (["--workers", "2", "--sessions", "1"], 2), (["--workers=3"], 3)]
)
def test_gateway_is_ready_with_all_the_processes_that_it_was_asked_for(arguments: list[str], expected: int) -> None:
    assert workers(arguments) == expected
    text = "# TYPE cellsense_ready gauge\ncellsense_ready 2.0\ncellsense_ready_seconds 9.0\ncellsense_workers 3.0\n"
    assert ready_in(text) == 2
    assert ready_in('cellsense_ready{pid="1"} 1.0\ncellsense_ready{pid="2"} 0.0\n') == 1


def test_settings_of_an_earlier_search_are_taken_where_the_server_still_knows_them(tmp_path: Path) -> None:
    servers = [PEERS[name] for name in ("fastapi", "ray", "litserve")]
    best = {"fastapi": {"run": "inline"}, "ray": {"run": "thread"}, "litserve": dict(PEERS["litserve"].settings[0])}
    searched = [{"server": name, "setting": best[name], "frames_per_s": 9.0} for name in ("fastapi", "ray")]
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"results": {"tried": searched, "settings": best}}))
    assert read_settings(file, servers) == {"fastapi": {"run": "inline"}, "ray": {"run": "thread"}}
    best["ray"]["run"] = "hope"
    file.write_text(json.dumps({"results": {"tried": searched, "settings": best}}))
    with pytest.raises(ValueError, match="ray has no setting"):
        read_settings(file, servers)
    file.write_text("[]")
    with pytest.raises(ValueError, match="expected the results of a run with --search"):
        read_settings(file, servers)


@contextmanager
def _answering(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """Port of a server that posts go to."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def _summary(server: str, cell: Cell, share: float) -> Summary:
    return Summary(server, cell, 3, 1000 * share, share, 0.01, 1.0, 2.0, 3.0, 0, 1.5, 200.0, 100.0)
