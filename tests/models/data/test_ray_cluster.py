"""Builds on Ray clusters of this machine, the nodes of which are processes of their own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from models.data.build import main
from models.data.recipe import RECIPES
from models.data.shard_job import Factory
from models.data.throughput import reports
from tests.models.data.fake_recorder import DieOnce, FakeRecorder, HangOnce, die_at_1, no_tracer

pytest.importorskip("ray", reason="no Ray: `pip install 'cellsense[ray]'` installs it")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of files and processes that it leaves to the exit

SITE = ("--site", "munich")
EPISODES = len(RECIPES["small"].purposes("munich"))


@pytest.fixture(scope="module", autouse=True)
def _no_tokens_in_the_home_folder() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What local processes make of it."""
    folder = tmp_path_factory.mktemp("whole")
    assert _build(folder) == 0
    return _files(folder)


def _build(folder: Path, *options: str, factory: Factory = FakeRecorder) -> int:
    return main(["--profile", "small", *SITE, "--out", str(folder), "--json", *options], factory)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores for tasks, and two nodes of one each."""
    from ray.cluster_utils import Cluster

    quiet = {"include_dashboard": False, "object_store_memory": 100_000_000}
    running = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **quiet})
    for _ in range(2):
        running.add_node(num_cpus=1, **quiet)
    yield running
    running.shutdown()


def test_episode_that_always_kills_its_worker_fails_alone(
    cluster: Any, tmp_path: Path, whole: dict[str, bytes], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("models.data.ray_cluster.RETRIES", 1)
    assert _build(tmp_path, "--ray", cluster.address, factory=partial(FakeRecorder, before=die_at_1)) == 1
    printed = capsys.readouterr()
    assert "failed: episode 1 of munich." in printed.err
    assert json.loads(printed.out)["shards"] == EPISODES - 1
    assert _files(tmp_path).items() < whole.items()


def test_cluster_that_loses_workers_and_a_node_gives_the_same_bytes(
    cluster: Any, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    nodes = {node.node_id: node for node in cluster.worker_nodes}
    lost = threading.Thread(target=_lose_node, args=(cluster, nodes, tmp_path / "hangs-5"))
    lost.start()
    harm = partial(FakeRecorder, before=_Both(DieOnce(tmp_path, (1, 2)), HangOnce(tmp_path, 5)))
    assert _build(tmp_path / "set", "--ray", cluster.address, factory=harm) == 0
    lost.join()
    assert len(cluster.worker_nodes) == len(nodes) - 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["died-munich-1", "died-munich-2", "hangs-5", "set"]
    assert _files(tmp_path / "set") == whole
    (report,) = reports(tmp_path / "set")
    assert (report["kind"], report["complete"]) == ("ray", True)


def test_missing_ray_tracer_of_a_worker_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _build(tmp_path, "--ray", "local", "--workers", "1", factory=no_tracer) == 2
    assert "No module named 'sionna'" in capsys.readouterr().err


def test_cluster_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _build(tmp_path, "--ray", "127.0.0.1:1") == 2
    assert "--ray 127.0.0.1:1: expected a running Ray cluster" in capsys.readouterr().err


class _Both:
    def __init__(self, first: DieOnce, second: HangOnce) -> None:
        self._parts = first, second

    def __call__(self, site: str, episode: int) -> None:
        for part in self._parts:
            part(site, episode)


def _lose_node(cluster: Any, nodes: dict[str, Any], mark: Path) -> None:
    """Kill the node that `HangOnce` hangs on, so that the task is surely lost with it."""
    deadline_s = time.monotonic() + 60
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    cluster.remove_node(nodes[mark.read_text()], allow_graceful=False)
