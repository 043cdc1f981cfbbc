from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.engine.generic import write_generic
from tests.service.remote.pair import MODEL, Pair, pair


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Pair]:
    write_generic(tmp_path / MODEL)
    async with pair(tmp_path) as made:
        yield made
