import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from service.contract import manifest as module
from service.contract.manifest import Manifest, contract_fingerprint
from service.contract.tensors import GRAPHS, MULTIMODAL, RADIO, RADIO_GRAPHS
from tests.service.contract.examples import CITY, manifest, radio_manifest


def change(folder, **fields):
    """Write a manifest that has other values there."""
    manifest().save(folder)
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("written", [manifest(), radio_manifest()], ids=["multimodal", "radio"])
def test_saved_and_loaded_it_is_the_same(tmp_path, written):
    written.save(tmp_path)
    assert Manifest.load(tmp_path) == written


def test_a_manifest_from_before_there_were_contracts_and_carriers_is_read(tmp_path):
    manifest().save(tmp_path)
    path = tmp_path / "manifest.json"
    data = json.loads(path.read_text())
    del (
        data["contract"],
        data["carriers"],
        data["calibration"]["path_quantile"],
        data["calibration"]["centroid_quantile"],
    )
    path.write_text(json.dumps(data))
    assert Manifest.load(tmp_path) == manifest()


def test_each_carrier_has_its_calibration_and_all_others_share_one():
    written = radio_manifest()
    assert written.calibration_at(3.55e9) == written.carriers["3550000000"]
    for other in (28e9, math.nan, None):
        assert written.calibration_at(other) == written.calibration
    assert manifest().calibration_at(28e9) == manifest().calibration


def test_the_contract_says_which_tensors():
    assert manifest().tensors is MULTIMODAL
    assert radio_manifest().tensors is RADIO


@pytest.mark.parametrize("name", ["sonar", "", None, 5])
def test_an_unknown_contract_is_refused_naming_the_known_ones(tmp_path, name):
    change(tmp_path, contract=name)
    with pytest.raises(
        ValueError, match=r"manifest\.json: .* contract: expected one of multimodal, radio or generic, got"
    ):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("carriers", [5, [], {"28000000000": 5}, {"28000000000": {}}])
def test_carriers_that_are_no_calibrations_are_refused(tmp_path, carriers):
    change(tmp_path, carriers=carriers)
    with pytest.raises(ValueError, match=r"manifest\.json: not a manifest of this version"):
        Manifest.load(tmp_path)


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


def test_each_contract_has_a_fingerprint_of_its_own(monkeypatch):
    multimodal, radio = contract_fingerprint(MULTIMODAL), contract_fingerprint(RADIO)
    assert multimodal != radio
    inputs, outputs = RADIO_GRAPHS["encode"]
    monkeypatch.setitem(RADIO_GRAPHS, "encode", (inputs[::-1], outputs))
    assert contract_fingerprint(RADIO) != radio
    assert contract_fingerprint(MULTIMODAL) == multimodal


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
