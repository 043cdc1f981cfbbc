from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.observed import Observed, observed


@pytest.fixture(scope="package")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with observed(tmp_path_factory.mktemp("fleet")) as running:
        yield running
