from __future__ import annotations

import numpy as np
import pytest

from models.data.schema import COLUMNS, SchemaError, check
from tests.models.data.fake_recorder import SIZES, random_arrays


def _arrays() -> dict[str, np.ndarray]:
    return random_arrays(np.random.default_rng(0))


def test_good_shard_tells_its_sizes() -> None:
    assert check(_arrays()) == SIZES


def test_every_column_is_explained_and_of_a_fixed_type() -> None:
    for column in COLUMNS.values():
        assert column.about
        assert np.dtype(column.dtype).name == column.dtype


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_missing_column_is_refused(name: str) -> None:
    arrays = _arrays()
    del arrays[name]
    with pytest.raises(SchemaError, match=name):
        check(arrays)


def test_unknown_column_is_refused() -> None:
    with pytest.raises(SchemaError, match="smell"):
        check({**_arrays(), "smell": np.zeros(1)})


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_column_of_another_type_is_refused(name: str) -> None:
    arrays = _arrays()
    arrays[name] = arrays[name].astype(np.complex64)
    with pytest.raises(SchemaError, match=rf"{name}: expected {COLUMNS[name].dtype}, got complex64"):
        check(arrays)


@pytest.mark.parametrize(("name", "axis"), [("csi_scale", 0), ("csi_levels", 3), ("path_kind", 0), ("zone", 1)])
def test_sizes_that_disagree_are_refused(name: str, axis: int) -> None:
    arrays = _arrays()
    arrays[name] = np.concatenate([arrays[name], arrays[name]], axis)
    with pytest.raises(SchemaError):
        check(arrays)


def test_column_with_an_axis_too_many_is_refused() -> None:
    with pytest.raises(SchemaError, match="distance_m: expected dimensions"):
        check({**_arrays(), "distance_m": np.zeros((3, 2, 3, 1), np.float32)})


@pytest.mark.parametrize("offsets", [[0, 3, 2, 5, 5, 5, 5], [1, 1, 2, 3, 4, 5, 5], [0, 1, 2, 3, 4, 4, 4], [0, 5]])
def test_offsets_that_do_not_rise_over_all_rows_are_refused(offsets: list[int]) -> None:
    with pytest.raises(SchemaError, match="path_offset: expected 7 rising offsets from 0 to 5"):
        check({**_arrays(), "path_offset": np.array(offsets)})
