from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from service.metrics.histogram import FEW, BatchHistogram

BOUNDS = (0.0, 0.25, 1.0, 7.5)
VALUES = st.one_of(st.sampled_from(BOUNDS), st.floats(-3, 20, allow_nan=False))


def samples(histogram: BatchHistogram) -> dict[tuple[str, str], float]:
    return {(s.name, s.labels.get("le", "")): s.value for metric in histogram.collect() for s in metric.samples}


def histogram() -> BatchHistogram:
    return BatchHistogram("weight", "Some.", ["site"], buckets=BOUNDS, registry=CollectorRegistry())


@given(st.lists(VALUES, max_size=4 * FEW))
def test_many_at_once_are_the_same_as_one_after_the_other(values: list[float]) -> None:
    at_once, in_turn = histogram(), histogram()
    at_once.labels("city").observe_many(values)
    child = in_turn.labels("city")
    for value in values:
        child.observe(value)
    assert samples(at_once) == pytest.approx(samples(in_turn), abs=1e-9)
    assert samples(at_once)["weight_count", ""] == len(values)


@given(VALUES, st.integers(0, 20))
def test_a_value_counts_as_often_as_it_was_seen(value: float, count: int) -> None:
    at_once, in_turn = histogram(), histogram()
    at_once.labels("city").observe_times(value, count)
    child = in_turn.labels("city")
    for _ in range(count):
        child.observe(value)
    assert samples(at_once) == pytest.approx(samples(in_turn), abs=1e-9)


def test_arrays_are_taken_as_they_are() -> None:
    weights = histogram()
    weights.labels("city").observe_many(np.linspace(0, 1, 101, dtype=np.float32))
    assert samples(weights)["weight_bucket", "0.0"] == 1
    assert samples(weights)["weight_bucket", "0.25"] == 26
    assert samples(weights)["weight_bucket", "+Inf"] == 101
