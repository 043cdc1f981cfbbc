"""Do the jobs of a build in processes of this machine.

The processes are spawned: Dr.Jit does not survive a fork. Each has a pipe of its own, of which only it holds the other
end, so that the job of one that dies is known, even if it dies while it answers, and is done again by its successor.
(`ProcessPoolExecutor` loses all jobs when one process dies, and waits for ever for the rest of a half-sent answer.)
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from multiprocessing.connection import Connection, wait

from models.data.shard_job import NO_TRACER, Job, Order, Product, perform

TRIES = 3  # of a job whose worker dies
_SPAWN = multiprocessing.get_context("spawn")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def on_processes(jobs: Iterable[Job], order: Order, workers: int) -> Generator[Product]:
    """Products of the jobs, in the order in which they get done. Close the iterator to stop early."""
    waiting, deaths = deque(jobs), Counter[Job]()
    idle = [_Worker(order) for _ in range(min(workers, len(waiting)))]
    busy: dict[Connection, _Worker] = {}
    try:
        while waiting or busy:
            while waiting and idle:
                worker = idle.pop()
                busy[worker.pipe] = worker
                worker.give(waiting.popleft())
            ready = wait(list(busy))
            for worker in [worker for pipe, worker in busy.items() if pipe in ready]:
                product = worker.take()
                del busy[worker.pipe]
                if product is None:
                    worker.stop()
                    idle.append(_Worker(order))
                    deaths[worker.job] += 1
                    if deaths[worker.job] < TRIES:
                        waiting.appendleft(worker.job)
                        continue
                    product = Product(worker.job, error=f"its worker died {TRIES} times; is there enough memory?")
                else:
                    idle.append(worker)
                yield product
    finally:
        for worker in (*idle, *busy.values()):
            worker.stop()


class _Worker:
    """A process that does one job at a time.

    Attributes:
        pipe: readable when it has done its job, and when it is dead.
        job: the last that it was given.
    """

    job: Job

    def __init__(self, order: Order) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, order), daemon=True)
        with _environment(_ONE_THREAD):
            self._process.start()
        theirs.close()

    def give(self, job: Job) -> None:
        """Have a job done."""
        self.job = job
        with contextlib.suppress(OSError):  # it is dead, as `take` will tell
            self.pipe.send(job)

    def take(self) -> Product | None:
        """What came of the job; None where the process died of it. Raises what `perform` raises."""
        try:
            answer: Product | Exception = self.pipe.recv()
        except (EOFError, OSError):
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(pipe: Connection, order: Order) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides what follows
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        while True:
            job = pipe.recv()
            try:
                pipe.send(perform(job, order))
            except NO_TRACER as error:
                pipe.send(error)


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
