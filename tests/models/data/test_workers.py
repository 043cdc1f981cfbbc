from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from models.data.recipe import RECIPES
from models.data.shard_job import Factory, Job, Order, Product
from models.data.shards import GROUND
from models.data.workers import TRIES, on_processes
from tests.models.data.fake_recorder import DieOnce, FakeRecorder, die_at_1, fail_at_2, nap

JOBS = [Job("munich", None), *(Job("munich", episode) for episode in range(4))]


def _made(factory: Factory, workers: int = 2, jobs: list[Job] = JOBS) -> dict[Job, Product]:
    products = list(on_processes(jobs, Order(RECIPES["sample"], "f", factory), workers))
    assert not multiprocessing.active_children()
    made = {product.job: product for product in products}
    assert len(made) == len(products) == len(jobs)
    return made


def test_every_job_is_done_once_whatever_the_number_of_workers() -> None:
    one, two = _made(FakeRecorder, 1), _made(partial(FakeRecorder, before=nap), 2)
    assert {job: product.data for job, product in one.items()} == {job: product.data for job, product in two.items()}
    assert len({product.worker for product in one.values()}) == 1
    assert len({product.worker for product in two.values()}) == 2
    assert set(load(one[Job("munich", None)].data)) == set(GROUND)


def test_killed_worker_loses_nothing(tmp_path: Path) -> None:
    whole = _made(FakeRecorder, 1)
    mended = _made(partial(FakeRecorder, before=DieOnce(tmp_path, (0, 3))))
    assert len(list(tmp_path.iterdir())) == 2  # they did die
    assert {job: product.data for job, product in mended.items()} == {job: p.data for job, p in whole.items()}


def test_worker_killed_while_it_answers_loses_nothing() -> None:
    large = replace(RECIPES["sample"], snapshots=32)  # more than a pipe holds: the workers wait for us to read
    jobs = [Job("munich", episode) for episode in range(6)]
    products = on_processes(jobs, Order(large, "f", FakeRecorder), 2)
    made = [next(products)]
    time.sleep(1.0)
    for process in multiprocessing.active_children():
        process.kill()
    made += products
    assert sorted(product.job.episode for product in made) == list(range(6))
    assert all(product.data for product in made)


def test_episode_that_always_kills_its_worker_fails_alone() -> None:
    made = _made(partial(FakeRecorder, before=die_at_1))
    assert [job for job, product in made.items() if product.error] == [Job("munich", 1)]
    assert f"died {TRIES} times" in made[Job("munich", 1)].error


def test_error_in_an_episode_is_told_with_its_traceback() -> None:
    made = _made(partial(FakeRecorder, before=fail_at_2))
    assert [job for job, product in made.items() if product.error] == [Job("munich", 2)]
    error = made[Job("munich", 2)].error
    assert "episode 2 is cursed" in error
    assert "fail_at_2" in error


def test_stopping_early_ends_the_workers_at_once() -> None:
    jobs = [Job("munich", episode) for episode in range(100)]
    products = on_processes(jobs, Order(RECIPES["sample"], "f", partial(FakeRecorder, before=nap)), 2)
    next(products)
    assert len(multiprocessing.active_children()) == 2
    products.close()
    assert not multiprocessing.active_children()


def test_workers_do_not_outlive_a_killed_build(tmp_path: Path) -> None:
    program = """
import sys
from functools import partial
from models.data.recipe import RECIPES
from models.data.shard_job import Job, Order
from models.data.shards import GROUND
from models.data.workers import on_processes
from tests.models.data.fake_recorder import FakeRecorder, nap
jobs = [Job("munich", episode) for episode in range(1000)]
for product in on_processes(jobs, Order(RECIPES["sample"], "f", partial(FakeRecorder, before=nap)), 1):
    print(product.worker[1], flush=True)
"""
    build = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with build:
        assert build.stdout
        worker = int(build.stdout.readline())
        build.kill()
    deadline_s = time.monotonic() + 20
    while _runs(worker) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not _runs(worker)


def test_workers_compute_on_one_thread_and_the_build_keeps_its_environment() -> None:
    before = dict(os.environ)
    made = _made(Threads, 1, [Job("munich", 0)])
    assert load(made[Job("munich", 0)].data)["ue_body"][0] == 1
    assert dict(os.environ) == before


class Threads(FakeRecorder):
    def record(self, episode: int) -> dict[str, np.ndarray]:
        arrays = super().record(episode)
        arrays["ue_body"][0] = int(os.environ["OMP_NUM_THREADS"])
        return arrays


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture(autouse=True)
def _no_stray_processes() -> None:
    assert not multiprocessing.active_children()
