from __future__ import annotations

from service.contract.labels import ACTIVITIES
from service.feedback.judging import KeptAnswer
from service.feedback.packing import ENTRY, RECORD, pack, pack_key, task_bits, unpack
from service.feedback.store import KEEP
from service.pipeline.answers import LineOfSight
from tests.service.feedback.answers import TIME_S, activity, answer, position


def test_answers_are_the_same_once_unpacked() -> None:
    answers = [
        answer(position=position(-31.5, 250.25, 7.5, 2.25, 45.5), los=LineOfSight(False, 0.1)),
        answer(position=None, los=None, activity=activity(ACTIVITIES[-1])),
        answer("ue-2", los=None, timestamp_s=TIME_S + 1),
    ]
    packed = pack(answers)
    entries = [packed[at : at + 40] for at in range(0, len(packed), 40)]
    assert [entry[:16] for entry in entries] == [pack_key("ue-1", TIME_S)] * 2 + [pack_key("ue-2", TIME_S + 1)]
    assert [unpack(entry[16:]) for entry in entries] == [
        KeptAnswer((-31.5, 250.25, 7.5, 2.25, 45.5), False, None),
        KeptAnswer(None, None, ACTIVITIES[-1]),
        KeptAnswer((10.0, 20.0, 4.0, 1.0, 90.0), None, None),
    ]


def test_the_last_byte_says_what_was_labelled() -> None:
    record = pack([answer()])[16:]
    marked = record[:-1] + bytes([task_bits({"los", "activity"})])
    assert unpack(record).labelled == frozenset()
    assert unpack(marked).labelled == {"los", "activity"}


def test_scripts_know_the_sizes() -> None:
    assert (ENTRY.itemsize, RECORD.itemsize) == (40, 24)
    assert "#ARGV[3], 40" in KEEP.text
    assert len(pack_key("é" * 100, 0.0)) == 16
