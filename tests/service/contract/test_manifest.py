import json
import subprocess
import sys
from dataclasses import replace

import pytest

from service.contract import manifest as module
from service.contract.manifest import Manifest, contract_fingerprint
from service.contract.tensors import GRAPHS
from tests.service.contract.examples import CITY, manifest


def test_saved_and_loaded_it_is_the_same(tmp_path):
    manifest().save(tmp_path)
    assert Manifest.load(tmp_path) == manifest()


def test_a_site_is_found_by_its_name():
    assert manifest().site("city") == CITY
    assert manifest().site("atlantis") is None


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"manifest\.json: not a manifest of this version"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"sites": [5]}', '{"sites": 5}', "\xff"])
def test_a_file_that_is_no_manifest_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"manifest\.json: not a manifest of this version"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("field", ["fingerprint", "calibration", "sites", "commit"])
def test_a_manifest_without_a_field_is_refused(tmp_path, field):
    manifest().save(tmp_path)
    path = tmp_path / "manifest.json"
    data = json.loads(path.read_text())
    del data[field]
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=field):
        Manifest.load(tmp_path)


def test_the_fingerprint_is_the_same_in_every_process():
    code = "from service.contract.manifest import contract_fingerprint; print(contract_fingerprint())"
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert other.stdout.strip() == contract_fingerprint()


@pytest.mark.parametrize(
    "change", [{"name": "kamera"}, {"dtype": "uint16"}, {"shape": ("S", 3, 96, 193)}, {"unit": "lux"}, {"high": 1023}]
)
def test_the_fingerprint_changes_with_any_property_of_a_tensor(monkeypatch, change):
    before = contract_fingerprint()
    (first, *rest), outputs = GRAPHS["encode"]
    monkeypatch.setitem(GRAPHS, "encode", ((replace(first, **change), *rest), outputs))
    assert contract_fingerprint() != before


def test_the_fingerprint_changes_with_the_order_of_the_inputs(monkeypatch):
    before = contract_fingerprint()
    inputs, outputs = GRAPHS["fuse"]
    monkeypatch.setitem(GRAPHS, "fuse", (inputs[::-1], outputs))
    assert contract_fingerprint() != before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACTIVITIES", ("boxing",)),
        ("TASKS", ("los",)),
        ("MODALITIES", ("csi",)),
        ("SCENE_MODALITIES", ("radar",)),
        ("NORMALIZER_VERSION", -1),
    ],
)
def test_the_fingerprint_changes_with_the_labels_and_the_normalizers(monkeypatch, name, value):
    before = contract_fingerprint()
    monkeypatch.setattr(module, name, value)
    assert contract_fingerprint() != before
