from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.measured import deepsense
from models.data.measured.files import BadFile
from models.data.measured.samples import Samples, join
from tests.models.data.measured.shared import measured
from tests.models.data.measured.tiny import DRIVES, PER_DRIVE, deepsense_arrays, write_deepsense

RANDOM, CHARAN, WHOLE_DRIVES = deepsense.SETS
SAMPLES = DRIVES * PER_DRIVE


def _index(samples: Samples) -> list[tuple[int, int]]:
    """(scenario, row) of every sample, which in the tiny set is also its beam."""
    return list(zip(samples.labels["scenario"].tolist(), samples.labels["beam"].tolist(), strict=True))


@pytest.mark.parametrize("count", [100, 856, 915, 2300, 5964])
@pytest.mark.parametrize("run", [1, 5])
def test_random_split_is_the_authors_program(count: int, run: int) -> None:
    # Their statements, one by one: a percentage less one, negative, cuts the test from the end of the drawn order.
    np.random.seed(run)  # noqa: NPY002
    drawn = np.random.permutation(count)  # noqa: NPY002
    first_test = int((1 - 20) / 100 * count)
    rest, test = drawn[:first_test], drawn[first_test:]
    first_val = int(20 / 100 * len(rest) / (np.sum([60, 20]) / 100))
    split = deepsense.random_split(count, run)
    np.testing.assert_array_equal(split["test"], test)
    np.testing.assert_array_equal(split["val"], rest[:first_val])
    np.testing.assert_array_equal(split["train"], rest[first_val:])


def test_random_parts_have_every_sample_once(tmp_path: Path) -> None:
    write_deepsense(tmp_path)
    parts = [RANDOM.load(tmp_path, part) for part in RANDOM.parts]
    assert sorted(_index(join(*parts))) == [(s, row) for s in range(1, 10) for row in range(SAMPLES)]
    assert len(parts[2]) == 9 * int(0.19 * SAMPLES)


def test_whole_drives_are_in_one_part(tmp_path: Path) -> None:
    write_deepsense(tmp_path)
    drives = {part: set(WHOLE_DRIVES.load(tmp_path, part).labels["drive"].tolist()) for part in WHOLE_DRIVES.parts}
    assert drives == {"train": {0, 1, 2, 5, 6, 7}, "val": {3, 8}, "test": {4, 9}}


def test_position_is_metres_from_the_base_station_by_corrected_gps(tmp_path: Path) -> None:
    write_deepsense(tmp_path)
    test = WHOLE_DRIVES.load(tmp_path, "test")
    row = test.labels["beam"]
    np.testing.assert_allclose(test.labels["position"][:, 0], 0, atol=0.01)
    np.testing.assert_allclose(test.labels["position"][:, 1], row, atol=0.05)  # in scenarios 3, 4, 8 and 9 too
    assert test.group[0] == "s1/5"


def test_published_lists_are_followed_row_by_row(tmp_path: Path) -> None:
    write_deepsense(tmp_path)
    val = CHARAN.load(tmp_path, "val")
    assert val.labels["scenario"].tolist() == [5] * 10 + [6] * 10
    rows = list(range(24, 34)) * 2
    np.testing.assert_array_equal(val.inputs["beam_power"].argmax(1), rows)
    np.testing.assert_allclose(val.inputs["gps"][:, 0], np.array(rows) / 40)
    assert val.labels["beam"].tolist() == [(65 - row) // 2 - 1 for row in rows]


def test_list_that_does_not_fit_the_powers_is_refused(tmp_path: Path) -> None:
    write_deepsense(tmp_path)
    arrays = deepsense_arrays()
    np.savez(tmp_path / "beams.npz", **{**arrays, "s6_power": arrays["s6_power"][:, ::-1]})
    with pytest.raises(BadFile, match=r"scenario6_pos_beam_test\.csv: expected unit1_beam_64 .*got 6 of 6 rows"):
        CHARAN.load(tmp_path, "test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "index of 1 to 40"),
        ("index,unit2_pos\n1,2\n", "expected columns index, unit2_pos"),
        ('index,unit2_pos,unit1_beam_32,unit1_beam_64\n41,"[0.1, 0.2]",3,5\n', "index of 1 to 40"),
        ('index,unit2_pos,unit1_beam_32,unit1_beam_64\n1,"[0.1]",3,5\n', "two coordinates"),
        ('index,unit2_pos,unit1_beam_32,unit1_beam_64\n1,"[0.1, 0', "expected columns"),
    ],
)
def test_bad_list_is_named(tmp_path: Path, content: str, message: str) -> None:
    write_deepsense(tmp_path)
    (tmp_path / "splits" / "scenario5_pos_beam_train.csv").write_text(content)
    with pytest.raises(BadFile, match=rf"scenario5_pos_beam_train\.csv: .*{message}"):
        CHARAN.load(tmp_path, "train")


def test_missing_list_is_named(tmp_path: Path) -> None:
    write_deepsense(tmp_path)
    (tmp_path / "splits" / "scenario6_pos_beam_val.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"scenario6_pos_beam_val\.csv"):
        CHARAN.load(tmp_path, "val")


def test_real_set_has_the_samples_that_its_readme_counts() -> None:
    root = measured("deepsense_beams")
    assert sum(len(RANDOM.load(root, part)) for part in RANDOM.parts) == 22_828
    assert [len(CHARAN.load(root, part)) for part in CHARAN.parts] == [1380 + 549, 690 + 274, 230 + 92]
    assert set(CHARAN.load(root, "train").labels["beam"].tolist()) <= set(range(32))
