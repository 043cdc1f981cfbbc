from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.contract.manifest import Manifest
from service.engine.discovery import load_artifacts
from service.engine.loading import loader
from service.engine.variants import find_variant
from service.errors import ArtifactError
from service.settings import Settings
from tests.service.engine.artifacts import write_artifact

ZOO = Settings().models
FIGURES: dict[str, object] = {
    "street": {"all/all": {"position_mean_m": 10.0, "los_recall": 0.9, "frames": 5.0}, "east/all": {}},
    "sample": {"position_mean_m": 1.0},
    "parity": {"position": 1e-5},
}


def write(folder: Path, inside: str = "int8", figures: dict[str, object] | None = None, **changes: Any) -> None:
    """An artifact and a variant in it."""
    written = replace(write_artifact(folder), metrics=FIGURES)
    written.save(folder)
    shutil.copytree(folder, folder / inside)
    replace(written, **{"precision": inside, "metrics": FIGURES if figures is None else figures} | changes).save(
        folder / inside
    )


def street(**figures: float) -> dict[str, object]:
    return {"street": {"all/all": {"position_mean_m": 10.0, "los_recall": 0.9} | figures}}


def test_the_artifact_itself_is_served_unless_it_has_the_variant(tmp_path: Path) -> None:
    write(tmp_path)
    assert find_variant(tmp_path, "fp32", 0.0) == tmp_path
    assert find_variant(tmp_path, "fp16", 0.0) == tmp_path
    assert find_variant(tmp_path, "int8", 0.0) == tmp_path / "int8"


@pytest.mark.parametrize(
    ("figures", "refused"),
    [
        (street(position_mean_m=10.19), None),
        (street(position_mean_m=9.0, los_recall=0.95), None),
        (street(position_mean_m=10.25), "position_mean_m on street is 2.5% worse"),
        (street(los_recall=0.87), "los_recall on street is 3.0% worse"),
        ({"elsewhere": {"position_mean_m": 1.0}}, "expected figures of the same splits"),
        ({"sample": {"position_mean_m": 1.0}}, "expected figures of the same splits"),
        ({"street": {"frames": 5.0}}, "expected figures of the same splits"),
        ({}, "expected figures of the same splits"),
    ],
)
def test_it_is_served_only_where_it_lost_little_enough(
    tmp_path: Path, figures: dict[str, object], refused: str | None
) -> None:
    write(tmp_path, figures=figures)
    if refused is None:
        assert find_variant(tmp_path, "int8", 0.02) == tmp_path / "int8"
    else:
        with pytest.raises(ArtifactError, match=refused):
            find_variant(tmp_path, "int8", 0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp32"}, "precision: expected int8 as of the artifact, got fp32"),
        ({"name": "other"}, "name: expected tiny"),
        ({"version": "2.0.0"}, "version: expected 1.0.0"),
        ({"fingerprint": "0" * 16}, "contract: expected"),
        ({"sites": ()}, "sites: expected"),
        ({"commit": "1" * 40}, "commit: expected"),
    ],
)
def test_a_variant_of_another_model_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path, **changes)
    with pytest.raises(ArtifactError, match=message):
        find_variant(tmp_path, "int8", 1.0)


def test_a_variant_is_no_artifact_of_its_own_and_answers_by_its_own_graphs(tmp_path: Path) -> None:
    write(tmp_path / "tiny", commit="0" * 40, opset=17)
    for precision, opset in (("fp32", 18), ("int8", 17)):
        load = loader(Settings(precision=precision, sessions=1), cores=1)
        found = load_artifacts(tmp_path, load)
        assert [engine.name for engine in found.by_site.values()] == ["tiny"]
        assert not found.others
        assert found.by_site["munich"].manifest.opset == opset


def test_the_shipped_8_bit_variant_lost_less_than_is_allowed_by_default() -> None:
    folder, settings = ZOO / "scadf-moe", Settings()
    assert find_variant(folder, "int8", settings.precision_loss) == folder / "int8"
    assert Manifest.load(folder / "int8").precision == "int8"
    with pytest.raises(ArtifactError, match=r"expected to have lost at most 0.5%, but position_median_m on unseen-re"):
        find_variant(folder, "int8", 0.005)
