from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from service.contract.tensors import RADIO
from service.engine.discovery import load_artifacts
from service.engine.onnx_engine import OnnxEngine
from service.errors import ArtifactError
from tests.service.engine.artifacts import STREET, site, write_artifact
from tests.service.engine.generic import write_generic

load = partial(OnnxEngine.load, intra_op_threads=1)


def test_every_site_gets_the_engine_of_its_artifact(tmp_path: Path) -> None:
    write_artifact(tmp_path / "city", "city", (site("munich"), site("paris")))
    write_artifact(tmp_path / "room", "room", (site("lab"),))
    (tmp_path / "notes").mkdir()
    engines = load_artifacts(tmp_path, load).by_site
    assert {name: engine.name for name, engine in engines.items()} == {"munich": "city", "paris": "city", "lab": "room"}
    assert engines["munich"] is engines["paris"]


def test_two_artifacts_for_one_site_are_refused(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", "old", (site("munich"),))
    write_artifact(tmp_path / "b", "new", (site("munich"),))
    with pytest.raises(ArtifactError, match="one artifact per site, but old and new serve munich"):
        load_artifacts(tmp_path, load)
    with pytest.raises(ArtifactError, match=r"say which is preferred \(CELLSENSE_PREFER\)"):
        load_artifacts(tmp_path, load, ["another"])


@pytest.mark.parametrize(
    ("prefer", "munich"), [(["new"], "new"), (["old"], "old"), (["new", "old"], "new"), (["another", "old"], "old")]
)
def test_a_site_that_two_artifacts_serve_goes_to_the_first_that_is_preferred(
    tmp_path: Path, prefer: list[str], munich: str
) -> None:
    write_artifact(tmp_path / "a", "old", (site("munich"), site("paris")))
    write_artifact(tmp_path / "b", "new", (site("munich"), site("lab")))
    engines = load_artifacts(tmp_path, load, prefer).by_site
    assert {name: engine.name for name, engine in engines.items()} == {"munich": munich, "paris": "old", "lab": "new"}


def test_artifacts_of_both_contracts_serve_side_by_side(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", "fusion", (site("munich"),))
    write_artifact(tmp_path / "b", "radio", (STREET, site("munich")), contract=RADIO)
    engines = load_artifacts(tmp_path, load, ["fusion"]).by_site
    assert {name: engine.manifest.contract for name, engine in engines.items()} == {
        "munich": "multimodal",
        "street": "radio",
    }


@pytest.mark.parametrize("folder", [".", "nowhere"])
def test_a_folder_without_artifacts_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ArtifactError, match="found none: name another folder with --models"):
        load_artifacts(tmp_path / folder, load)


def test_artifacts_that_no_site_goes_to_are_found_too(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", "old", (site("munich"),))
    write_artifact(tmp_path / "b", "new", (site("munich"),))
    write_generic(tmp_path / "c", "doubler")
    found = load_artifacts(tmp_path, load, ["new"])
    assert {name: engine.name for name, engine in found.by_site.items()} == {"munich": "new"}
    assert [engine.name for engine in found.others] == ["old", "doubler"]


def test_two_artifacts_of_one_name_are_refused(tmp_path: Path) -> None:
    write_generic(tmp_path / "a", "doubler")
    write_generic(tmp_path / "b", "doubler")
    with pytest.raises(ArtifactError, match="artifacts of different names, got a second one named doubler"):
        load_artifacts(tmp_path, load)
