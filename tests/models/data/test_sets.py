from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.data.measured.samples import Column, Input, MeasuredSet
from models.data.sets import CARD, SETS, card, count, main
from tests.models.data.measured.shared import SHARED
from tests.models.data.measured.tiny import write_all

every_set = pytest.mark.parametrize("each", SETS.values(), ids=SETS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sets, tiny."""
    root = tmp_path_factory.mktemp("data")
    write_all(root)
    return root


def _fits(column: Column, values: Input) -> bool:
    samples = values if column.ragged else [values]
    dims = column.shape if column.ragged else (len(values), *column.shape)
    return isinstance(values, list) == column.ragged and all(
        sample.dtype == column.dtype
        and len(sample.shape) == len(dims)
        and all(isinstance(dim, str) or dim == size for dim, size in zip(dims, sample.shape, strict=True))
        for sample in samples
    )


@every_set
def test_every_part_holds_what_the_table_says(each: MeasuredSet, data: Path) -> None:
    for part in each.parts:
        samples = each.load(data / each.folder, part)
        assert len(samples) > 0
        assert samples.part == part
        for columns, arrays in ((each.inputs, samples.inputs), (each.labels, samples.labels)):
            assert list(arrays) == list(columns)
            assert [name for name, column in columns.items() if not _fits(column, arrays[name])] == []
        for name, column in each.labels.items():
            if column.classes:
                assert set(np.unique(samples.labels[name])) <= set(range(len(column.classes)))


@every_set
def test_groups_are_apart_where_the_set_says_so(each: MeasuredSet, data: Path) -> None:
    parts_of = Counter(
        group for part in each.parts for group in set(each.load(data / each.folder, part).group.tolist())
    )
    assert (max(parts_of.values()) == 1) == each.apart


@every_set
def test_unknown_part_is_refused_with_the_known_ones(each: MeasuredSet, data: Path) -> None:
    with pytest.raises(ValueError, match=f"part of {each.name}: expected one of {each.parts[0]}.*got 'rest'"):
        each.load(data / each.folder, "rest")


@every_set
def test_missing_folder_is_named_with_the_way_out(each: MeasuredSet, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}/none.*{each.source}"):
        each.load(tmp_path / "none", each.parts[0])


def test_nothing_non_commercial_may_be_shipped() -> None:
    assert {each.use for each in SETS.values() if "NC" in each.licence} == {"evaluate", "plumbing"}
    assert {each.name for each in SETS.values() if each.use == "train"} == {"radhar", "geotec-csi", "csu-csi"}


def test_counts_are_of_what_is_there(data: Path, tmp_path: Path) -> None:
    rows = {(name, part): (samples, groups, classes) for name, part, samples, groups, classes in count(data)}
    assert rows["radhar", "train"] == ("70", "35", "5, of 14 to 14")
    assert rows["csu-csi", "test"] == ("12", "4", "–")
    (tmp_path / "csu_csi").symlink_to(data / "csu_csi")
    rows = {(name, part): samples for name, part, samples, *_ in count(tmp_path)}
    assert rows["csu-csi", "test"] == "12"
    assert rows["radhar", "train"] == "no radhar/"


def test_table_names_modalities_labels_and_samples(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data)]) == 0
    blocks = capsys.readouterr().out.split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [*SETS, "ray-traced"]
    words = blocks[0].split()
    assert words[1:5] == ["modalities", "radar", "labels", "activity"]
    assert "train 70, val 10, test 10" in blocks[0]
    assert "28 GHz" in blocks[-1]
    assert "unseen-city" in blocks[-1]


def test_table_needs_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.count("not counted: no --data") == len(SETS) + 1


def test_bad_file_ends_the_command_with_its_name(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path / "none")]) == 2
    assert "none: expected the folder that has radhar/" in capsys.readouterr().err
    (tmp_path / "csu_csi").mkdir()
    (tmp_path / "csu_csi" / "csu_300_i16.npz").write_bytes((data / "csu_csi" / "csu_300_i16.npz").read_bytes()[:-9])
    assert main(["--data", str(tmp_path)]) == 2
    assert "csu_300_i16.npz: expected a NumPy archive" in capsys.readouterr().err


def test_card_is_what_the_code_says() -> None:
    assert main(["--check"]) == 0, "the card has drifted: see `python -m models.data.sets --check`"


def test_drifted_or_missing_card_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "card.md"
    assert main(["--check", "--card", str(path)]) == 1
    path.write_text(card(None).replace("9.19 m", "0.19 m"))
    assert main(["--check", "--card", str(path)]) == 1
    assert f"{path}: expected what the code says now" in capsys.readouterr().err
    path.write_text(card([["radhar", "train", "1", "1", "–"]]))
    assert main(["--check", "--card", str(path)]) == 0


def test_table_loads_neither_torch_nor_the_ray_tracer() -> None:
    code = "import sys, models.data.sets; print({'torch', 'sionna', 'mitsuba', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_card_has_the_counts_of_the_real_data() -> None:
    missing = sorted({each.folder for each in SETS.values() if not (SHARED / each.folder).is_dir()})
    if missing:
        pytest.skip(
            f"no measured data: {SHARED} lacks {', '.join(missing)}; CELLSENSE_SHARED_DATA names another folder"
        )
    assert CARD.read_text() == card(count(SHARED)) + "\n"
