from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from models.baselines.measured import compute, main, quoted
from models.baselines.measured_figures import FIGURES, Forests
from models.data.sets import SETS
from tests.models.data.measured.shared import measured
from tests.models.data.measured.tiny import write_all

MINUTES = ("radhar", "geotec-csi", "deepsense-drives")  # forests on the true sets
AT_ONCE = tuple(name for name in FIGURES if name not in MINUTES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sets, tiny."""
    root = tmp_path_factory.mktemp("data")
    write_all(root)
    return root


def test_every_set_has_figures_with_the_runs_behind_them(data: Path) -> None:
    results = list(compute(data, tuple(FIGURES), Forests(activity_trees=3, position_trees=3)))
    assert list(dict.fromkeys(result.set for result in results)) == list(FIGURES)
    for result in results:
        assert all(len(values) == max(1, len(result.seeds)) for values in result.values.values())
        assert all(np.isfinite(values).all() for values in result.values.values())
        assert len(result.seeds) >= 3 or "kNN" in result.method or "unused" in result.method


def test_block_names_set_protocol_seeds_and_figures(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data), "--set", "csu-csi-as-published", "deepsense-random"]) == 0
    blocks = capsys.readouterr().out.strip().split("\n\n")
    assert [block.split(":")[0] for block in blocks] == ["csu-csi-as-published"] * 2 + ["deepsense-random"]
    assert "protocol: the authors'" in blocks[1]
    assert "seeds: none, nothing is random" in blocks[1]
    assert "error, m, median  0.50" in blocks[1]
    assert "seeds: 1, 2, 3, 4, 5" in blocks[2]
    assert "top-1, %, scenario 9  0.0 ± 0.0" in blocks[2]


def test_json_has_the_value_of_each_seed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(data), "--json", "--set", "deepsense-random"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["set"] == "deepsense-random"
    assert record["seeds"] == [1, 2, 3, 4, 5]
    assert record["figures"]["scenario 1"] == {"mean": 0.0, "std": 0.0, "values": [0.0] * 5}


def test_missing_folder_is_named_before_anything_is_computed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "csu_csi").symlink_to(data / "csu_csi")
    assert main(["--data", str(tmp_path), "--set", "csu-csi", "radhar", "geotec-csi"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{tmp_path}: expected the folders geotec_csi_har, radhar, found none" in err


def test_bad_file_ends_the_command_with_its_name(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "csu_csi").mkdir()
    (tmp_path / "csu_csi" / "csu_300_i16.npz").write_bytes((data / "csu_csi" / "csu_300_i16.npz").read_bytes()[:-9])
    assert main(["--data", str(tmp_path), "--set", "csu-csi"]) == 2
    assert "csu_300_i16.npz: expected a NumPy archive" in capsys.readouterr().err


def test_set_without_figures_is_refused_with_those_that_have_some(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--data", str(data), "--set", "radiate-sample"])
    assert "deepsense-drives" in capsys.readouterr().err


def test_what_the_card_says_was_computed_here_is_computed_here() -> None:
    assert {name for name, each in SETS.items() if "computed here" in each.figure} == set(FIGURES)


@pytest.mark.parametrize("name", [*AT_ONCE, *(pytest.param(name, marks=pytest.mark.slow) for name in MINUTES)])
def test_real_figures_are_those_of_the_card(name: str) -> None:
    root = measured(SETS[name].folder)
    results = list(compute(root.parent, [name], Forests()))
    ours = [quoted(result, figure) for result in results for figure in result.values]
    said = re.findall(r"\d+\.\d+(?: ± \d+\.\d+)?", SETS[name].figure.partition("computed here")[2])
    assert len(said) == len(ours)
    for result, figure, text in [(r, figure, said.pop(0)) for r in results for figure in r.values]:
        mean, *std = (float(number) for number in text.split(" ± "))
        assert len(std) == (result.std(figure) is not None)
        slack = 1.01 * 10**-result.digits  # one of the last digit: processors differ in how they round
        assert result.mean(figure) == pytest.approx(mean, abs=slack), (figure, ours)
        assert [result.std(figure)] * len(std) == pytest.approx(std, abs=slack), (figure, ours)
