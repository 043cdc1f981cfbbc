from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.trajectory.embedded import EmbeddedRedis


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with EmbeddedRedis() as server:
        yield server.url
