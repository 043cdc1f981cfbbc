from __future__ import annotations

from pathlib import Path

from models.data.shard_job import Job, Product
from models.data.throughput import Throughput, append_report, reports


def _product(episode: int | None, host: str, process: int, seconds: float) -> Product:
    return Product(Job("munich", episode), b"12345678", seconds, (host, process), {}, {"cpu": f"of {host}", "cores": 2})


def test_workers_and_machines_are_counted_once() -> None:
    throughput = Throughput("ray", snapshots=4)
    for episode, host, process, seconds in ((None, "a", 1, 2.0), (0, "a", 1, 2.0), (1, "a", 2, 2.0), (2, "b", 1, 0.5)):
        throughput.add(_product(episode, host, process, seconds))
    report = throughput.report(complete=True)
    assert (report["workers"], report["cores"], report["cpu"]) == (3, 4, "of a + of b")
    assert (report["snapshots"], report["bytes_per_snapshot"]) == (12, 2)  # the ground is no snapshot
    assert report["snapshots_per_s_of_worker"] == [1.0, 2.0, 8.0]


def test_build_that_made_no_episode_has_no_rates() -> None:
    report = Throughput("local", snapshots=4).report(complete=False)
    assert report["snapshots"] == report["workers"] == 0
    assert report["snapshots_per_s"] is None
    assert report["bytes_per_snapshot"] is None


def test_reports_of_a_set_are_kept_in_order(tmp_path: Path) -> None:
    assert reports(tmp_path) == []
    for number in (1, 2):
        append_report(tmp_path, {"snapshots": number})
    assert [report["snapshots"] for report in reports(tmp_path)] == [1, 2]
