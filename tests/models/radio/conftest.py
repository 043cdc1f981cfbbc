from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.data.planes import make
from models.systems.scadf_moe import Design, ScadfMoe
from tests.models.data.fake_set import Size, fake_set

SITES = ("toy", "toy-east")
PLAN = {"train": 2, "val": 1, "test": 1, "region": 1, "nlos": 1}


@pytest.fixture(scope="session")
def untrained() -> ScadfMoe:
    """Fresh weights for two sites, in evaluation mode. Tests must not change them."""
    torch.manual_seed(0)
    return ScadfMoe(Design(layers=1), len(SITES)).eval()


@pytest.fixture(scope="session")
def whole_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake set of two sites with every test part, and its planes. Tests must not change it."""
    folder = tmp_path_factory.mktemp("whole") / "set"
    shards = fake_set(folder, SITES, PLAN, Size(snapshots=4, ues=3))
    make(shards, [(site, episode) for site in SITES for episode in shards.episodes(site)], workers=1, quiet=True)
    return folder
