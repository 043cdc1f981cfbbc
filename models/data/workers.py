"""Do the jobs of a build in processes of this machine.

The processes are spawned: Dr.Jit does not survive a fork. Each is a pool of its own, so that the job of one that dies
is known, and done again by its successor, while the others go on.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from models.data.shard_job import Job, Order, Product, perform

TRIES = 3  # of a job whose worker dies
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def on_processes(jobs: Iterable[Job], order: Order, workers: int) -> Iterator[Product]:
    """Products of the jobs, in the order in which they get done. Close the iterator to stop early."""
    waiting, deaths = deque(jobs), Counter[Job]()
    before = set(multiprocessing.active_children())
    idle = [_worker() for _ in range(min(workers, len(waiting)))]
    running: dict[Future[Product], tuple[ProcessPoolExecutor, Job]] = {}
    try:
        with _environment(_ONE_THREAD):
            while waiting or running:
                while waiting and idle:
                    worker, job = idle.pop(), waiting.popleft()
                    running[worker.submit(perform, job, order)] = worker, job
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    worker, job = running.pop(future)
                    try:
                        product = future.result()
                    except BrokenProcessPool:
                        worker.shutdown()
                        worker = _worker()
                        deaths[job] += 1
                        if deaths[job] < TRIES:
                            waiting.appendleft(job)
                            idle.append(worker)
                            continue
                        product = Product(job, error=f"its worker died {TRIES} times; is there enough memory?")
                    idle.append(worker)
                    yield product
    finally:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        for worker in (*idle, *(worker for worker, _ in running.values())):
            worker.shutdown(cancel_futures=True)


def _worker() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_follow_parent)


def _follow_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides what follows
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables for the processes that are started meanwhile: NumPy reads them when it is imported."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
