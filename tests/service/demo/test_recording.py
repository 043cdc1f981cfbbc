from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from service.demo.recording import as_of, read_recording
from tests.service.demo.outcomes import recording


def test_lines_come_back_in_order_with_their_truth(tmp_path: Path) -> None:
    exchanges = read_recording(recording(tmp_path / "sample.jsonl.gz", lines=3, ues=2))
    assert [e.request["frames"][0]["timestamp_s"] for e in exchanges] == [0.0, 1.0, 2.0]
    assert exchanges[2].truth[1].position_enu_m == (2.0, 1.0)


def test_newest_frame_is_moved_to_now_and_distances_stay(tmp_path: Path) -> None:
    exchanges = read_recording(recording(tmp_path / "sample.jsonl.gz", lines=3))
    moved = as_of(exchanges, now_s=1_790_000_000.0, ue_suffix="~a")
    assert [e.request["frames"][1]["timestamp_s"] for e in moved] == [1_789_999_998.0, 1_789_999_999.0, 1_790_000_000.0]
    assert moved[0].request["frames"][1]["ue"] == "ue-1~a"
    assert exchanges[0].request["frames"][1]["ue"] == "ue-1"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"not gzip", 1),
        (gzip.compress(b'{"request": {"frames": []}, "truth": []}\n'), 1),
        (
            gzip.compress(
                b'{"request": {"frames": [{}]}, "truth": [{}]}\n{"request": {"frames": [{}]}, "truth": []}\n'
            ),
            2,
        ),
        (gzip.compress(b'{"request": {"frames": [{}]}, "truth": [{}]}\n[1, 2]\n'), 2),
        (gzip.compress(b'{"request": {"frames": [{}]}, "truth": [{"colour": 3}]}\n'), 1),
        (gzip.compress(b"x" * 10_000)[:60], 1),
    ],
)
def test_broken_recording_is_named_with_its_line(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "broken.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"broken\.jsonl\.gz, line {line}: expected a request and its truth"):
        read_recording(path)


def test_empty_and_missing_recordings_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl.gz"
    empty.write_bytes(gzip.compress(b""))
    with pytest.raises(ValueError, match="got an empty file"):
        read_recording(empty)
    with pytest.raises(ValueError, match="No such file"):
        read_recording(tmp_path / "missing.jsonl.gz")
