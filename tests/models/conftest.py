from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch

from models.data.planes import make
from models.data.radio_batches import Radio
from models.data.raytraced.bands import BANDS
from models.systems.gated_fusion import GatedFusion
from models.systems.scadf_run import load
from service.contract.labels import MODALITIES
from tests.models.data.fake_set import Size, fake_set
from tests.models.radhar_files import write_original


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model() -> GatedFusion:
    """Freshly initialised weights, in evaluation mode. Tests must not change them."""
    torch.manual_seed(7)
    return GatedFusion().eval()


@pytest.fixture(scope="session")
def radio_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake set of two sites, with its planes. Tests must not change it."""
    folder = tmp_path_factory.mktemp("radio") / "set"
    shards = fake_set(folder, ("toy", "toy-east"), {"train": 3, "val": 1, "test": 2}, Size(snapshots=8, ues=3))
    make(shards, [(site, e) for site in ("toy", "toy-east") for e in shards.episodes(site)], workers=1, quiet=True)
    return folder


@pytest.fixture(scope="session")
def radio(radio_folder: Path) -> dict[str, Radio]:
    """The parts of that set at all bands. Tests must not change them."""
    names = tuple(band.name for band in BANDS)
    return {
        part: load(radio_folder, "held-out-trajectories", part, names, quiet=True) for part in ("train", "val", "test")
    }


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact exported from untrained weights and toy data, by the command line. Takes some 20 s."""
    from models.export import main  # some seconds, which the other tests need not wait

    root = tmp_path_factory.mktemp("exported")
    fake_set(root / "data", plan={"train": 2, "val": 2, "test": 2}, size=Size(snapshots=3))
    write_original(root / "radhar", frames=95, files={"Train": 7, "Test": 2})
    torch.manual_seed(11)
    (root / "run").mkdir()
    torch.save(GatedFusion().state_dict(), root / "run" / "model.pt")
    (root / "run" / "config.json").write_text(json.dumps({"modalities": MODALITIES}))
    folders = {"--run": "run", "--set": "data", "--radhar": "radhar", "--out": "zoo"}
    arguments = [part for option, name in folders.items() for part in (option, str(root / name))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter calls what torch has deprecated
        assert main(["gated-fusion", "--site", "toy", "--json", *arguments]) == 0
    return root / "zoo" / "gated-fusion"
