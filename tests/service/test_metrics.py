from __future__ import annotations

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import Metrics


def test_names_have_the_prefix_and_the_unit_that_they_should() -> None:
    families = list(text_string_to_metric_families(generate_latest(Metrics().registry).decode()))
    own = [family for family in families if not family.name.startswith(("process_", "python_"))]
    assert len(own) >= 10
    for family in own:
        assert family.name.startswith("cellsense_")
        assert family.documentation
        assert "duration" not in family.name or family.name.endswith("_seconds")


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.frames.labels(200).inc()
    assert b'cellsense_frames_total{status="200"} 1.0' in generate_latest(first.registry)
    assert b'cellsense_frames_total{status="200"}' not in generate_latest(second.registry)


def test_stage_is_timed_even_when_it_fails() -> None:
    metrics = Metrics()
    with pytest.raises(KeyError), metrics.stage("decode"):
        raise KeyError
    assert metrics.registry.get_sample_value("cellsense_stage_duration_seconds_count", {"stage": "decode"}) == 1
