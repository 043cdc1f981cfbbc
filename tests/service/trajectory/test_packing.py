from __future__ import annotations

import struct

import numpy as np
import pytest

from service.trajectory.packing import RECORD, pack, unpack
from service.trajectory.vertex import Vertex, content_digest
from tests.service.trajectory.frames import EPOCH_S, steps, vertex


def test_a_record_has_the_layout_that_the_script_relies_on() -> None:
    record = pack([Vertex(1.5, b"12345678", np.arange(128, dtype=np.float32), 28e9)])
    assert len(record) == RECORD.itemsize == 280
    assert struct.unpack("<d8sd128e", record) == (1.5, b"12345678", 28e9, *(float(i) for i in range(128)))


def test_packing_and_unpacking_gives_the_same_in_half_precision() -> None:
    embedding = np.random.default_rng(0).normal(size=128).astype(np.float32)
    trajectory = unpack(pack([Vertex(EPOCH_S, b"12345678", embedding), vertex(1)]))
    assert trajectory.timestamps_s.tolist() == [EPOCH_S, EPOCH_S + 1]
    assert trajectory.embeddings.dtype == np.float32
    np.testing.assert_array_equal(trajectory.embeddings[0], embedding.astype(np.float16))


def test_the_carrier_of_each_frame_is_kept_and_so_is_that_it_had_none() -> None:
    embedding = np.zeros(128, np.float32)
    trajectory = unpack(pack([Vertex(0.0, b"12345678", embedding, 3.55e9), Vertex(1.0, b"12345678", embedding)]))
    assert trajectory.carriers_hz[0] == 3.55e9
    assert np.isnan(trajectory.carriers_hz[1])


def test_the_first_frames_of_a_trajectory_are_one_too() -> None:
    first = unpack(pack([vertex(step) for step in range(5)])).until(2)
    assert steps(first) == [0, 1]
    assert len(first.carriers_hz) == 2


def test_embeddings_saturate_instead_of_overflowing() -> None:
    trajectory = unpack(pack([Vertex(0.0, b"12345678", np.full(128, -1e9, np.float32))]))
    assert trajectory.embeddings[0, 0] == -65504.0


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Vertex(float("nan"), b"12345678", np.zeros(128, np.float32)), "expected a finite timestamp"),
        (Vertex(0.0, b"12345678", np.full(128, np.nan, np.float32)), "expected a finite timestamp and embedding"),
        (Vertex(0.0, b"123", np.zeros(128, np.float32)), r"digest: expected 8 bytes, got \[3\]"),
        (Vertex(0.0, b"12345678", np.zeros(64, np.float32)), r"expected shape \[128\], got \[64\]"),
    ],
)
def test_what_could_not_be_read_back_is_refused(broken: Vertex, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack([broken])


def test_digests_tell_order_borders_and_absence_of_parts_apart() -> None:
    contents = [(), (None,), (b"",), (b"a", b"b"), (b"b", b"a"), (b"ab",), (b"a", None, b"b"), (b"ab", None)]
    assert len({content_digest(*parts) for parts in contents}) == len(contents)
    csi = np.ones((4, 8), np.complex64)
    assert content_digest(b"a", csi) == content_digest(b"a", csi[::1]) != content_digest(b"a", -csi)
    assert len(content_digest()) == 8
