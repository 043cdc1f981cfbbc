"""Metrics of several processes: real ones, which end in every way that there is."""

from __future__ import annotations

import fcntl
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COUNTING = """
import sys
from pathlib import Path
from service.metrics import Metrics, Seat

seat = Seat.take(Path(sys.argv[1]))
metrics = Metrics(seat)
print(seat.number, seat.inherited, flush=True)
for line in sys.stdin:
    word, number = line.split()
    if word == "count":
        metrics.traffic.frames.labels("city", "200").inc(int(number))
        metrics.sensing.ood_score.labels("city").observe_many([1.0] * int(number))
    elif word == "gauge":
        metrics.compute.queue_rows.labels("fuse").inc(int(number))
        metrics.system.redis_up.set(int(number))
    elif word == "text":
        print(metrics.render().decode(), flush=True)
    print("done", flush=True)
"""
FRAMES = 'cellsense_frames_total{site="city",status="200"}'
SCORES = 'cellsense_ood_score_bucket{le="1.0",site="city"}'
ROWS = 'cellsense_queue_rows{model="fuse"}'


class Counting:
    """A process that counts as it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        number, inherited = process.stdout.readline().split()
        self.seat, self.inherited = int(number), inherited == "True"

    def tell(self, word: str, number: int = 0) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word} {number}\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) != "done\n":
            assert line, "it ended"
            lines.append(line)
        return "".join(lines)

    def value(self, sample: str) -> float:
        found = re.search(rf"^{re.escape(sample)} (\S+)$", self.tell("text"), re.MULTILINE)
        assert found is not None, sample
        return float(found[1])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def counting(folder: Path) -> Iterator[Counting]:
    command = [sys.executable, "-c", COUNTING, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Counting(process)
        finally:
            process.kill()


def test_any_process_answers_for_all_and_the_killed_ones_are_not_forgotten(tmp_path: Path) -> None:
    with counting(tmp_path) as first, counting(tmp_path) as second:
        assert {first.seat, second.seat} == {0, 1}
        for process, number in ((first, 3), (second, 4)):
            process.tell("count", number)
            process.tell("gauge", number - 3)
        for process in (first, second):
            assert process.value(FRAMES) == process.value(SCORES) == 7
            assert process.value(ROWS) == 1
            assert process.value("cellsense_redis_up") == 0  # the least of them
            assert process.value("cellsense_workers") == 2
        first.kill()
        assert second.value(FRAMES) == second.value(SCORES) == 7
        assert second.value(ROWS) == 1
        assert second.value("cellsense_redis_up") == 1
        assert second.value("cellsense_workers") == 1
        assert not (tmp_path / f"gauge_livesum_{first.seat}.db").exists()


def test_the_next_process_takes_the_seat_and_goes_on_counting(tmp_path: Path) -> None:
    with counting(tmp_path) as staying:
        assert not staying.inherited
        for turn in range(3):
            with counting(tmp_path) as process:
                assert (process.seat, process.inherited) == (1, turn > 0)
                process.tell("count", 5)
                process.tell("gauge", 9)
                assert process.value(FRAMES) == 5 * (turn + 1)
                assert process.value(ROWS) == 9  # not what the last one left
                process.kill()
        assert staying.value(FRAMES) == 15
        assert staying.value("cellsense_workers") == 1
    assert len(list(tmp_path.glob("counter_*.db"))) == 2


def test_a_seat_is_not_taken_while_others_clear_those_that_are_free(tmp_path: Path) -> None:
    """They lock it for that moment: the new process would find it taken, and forget what was counted there."""
    with (tmp_path / "seats").open("ab") as clearing:
        fcntl.flock(clearing, fcntl.LOCK_EX)
        command = [sys.executable, "-c", COUNTING, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 2.0)[0] == []
            assert list(tmp_path.glob("*.db")) == []
            fcntl.flock(clearing, fcntl.LOCK_UN)
            assert process.stdout.readline() == "0 False\n"
            process.kill()


def test_files_of_a_new_process_can_be_read_from_their_first_moment(tmp_path: Path) -> None:
    """The library would make them empty and then fill them, and fail to read an empty one."""
    program = (
        "import sys; from pathlib import Path; from service.metrics import Seat; Seat.take(Path(sys.argv[1]));"
        "print(sorted((path.name, path.stat().st_size) for path in Path(sys.argv[1]).glob('*.db')))"
    )
    taken = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    kinds = ("counter", "gauge_livemax", "gauge_livemin", "gauge_livesum", "histogram")
    assert taken.stdout == f"{[(f'{kind}_0.db', 65536) for kind in kinds]}\n"
    with counting(tmp_path) as process:
        process.tell("count", 2)
        assert process.value(FRAMES) == 2
        assert {path.stem.removesuffix("_0") for path in tmp_path.glob("*.db")} == set(kinds)  # and there are no others
