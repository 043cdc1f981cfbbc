from __future__ import annotations

import pytest

from service.metrics import Metrics
from service.telemetry.stages import Stages


def count_and_sum(metrics: Metrics, stage: str) -> tuple[float | None, float | None]:
    value, name = metrics.registry.get_sample_value, "cellsense_stage_duration_seconds"
    return value(f"{name}_count", {"stage": stage}), value(f"{name}_sum", {"stage": stage})


def test_stage_is_timed_even_when_it_fails() -> None:
    metrics = Metrics()
    with pytest.raises(KeyError), Stages(metrics.compute).stage("decode"):
        raise KeyError
    assert count_and_sum(metrics, "decode")[0] == 1


def test_stage_that_is_over_is_recorded_with_its_times() -> None:
    metrics = Metrics()
    Stages(metrics.compute).record("queue_fuse", 10.0, 10.25)
    assert count_and_sum(metrics, "queue_fuse") == (1, 0.25)


def test_unknown_stage_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        Stages(Metrics().compute).stage("daydream")
