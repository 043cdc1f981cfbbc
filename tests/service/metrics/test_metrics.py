from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from service.contract.tensors import MULTIMODAL, RADIO
from service.metrics import Metrics
from tests.service.contract.examples import CITY, INDOOR, STREET

UNITS = ("seconds", "bytes", "meters")
FORBIDDEN = {"ue", "ue_id", "request_id", "path", "pid", "text"}


def test_names_follow_the_practice_of_prometheus() -> None:
    families = Metrics().families
    assert len(families) > 30
    for family in families:
        assert re.fullmatch(r"cellsense(_[a-z]+)+", family.name)
        assert (family.kind == "counter") == family.name.endswith("_total"), family.name
        for quantity, unit in (("duration", "seconds"), ("memory", "bytes"), ("error_", "meters"), ("cpu", "seconds")):
            if quantity in family.name:
                assert family.name.removesuffix("_total").endswith(f"_{unit}"), family.name
        assert family.help.endswith("."), family.name


def test_no_label_can_hold_anything_of_a_request() -> None:
    for family in Metrics().families:
        assert not set(family.labels) & FORBIDDEN, family.name


def test_what_is_declared_is_what_is_scraped() -> None:
    metrics = Metrics()
    metrics.expect([(CITY, MULTIMODAL), (INDOOR, MULTIMODAL), (STREET, RADIO)])
    scraped = {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}
    assert [family.name.removesuffix("_total") for family in metrics.families] == list(scraped)
    for family in metrics.families:
        found = scraped[family.name.removesuffix("_total")]
        assert (found.type, found.documentation) == (family.kind, family.help)


def test_series_of_a_site_start_from_nought_and_only_for_what_it_answers() -> None:
    metrics = Metrics()
    metrics.expect([(CITY, MULTIMODAL), (INDOOR, MULTIMODAL)])
    value = metrics.registry.get_sample_value
    assert value("cellsense_frames_total", {"site": "city", "status": "200"}) == 0
    assert value("cellsense_gate_weight_count", {"site": "indoor", "modality": "lidar"}) == 0
    assert value("cellsense_los_frames_total", {"site": "city", "line_of_sight": "false"}) == 0
    assert value("cellsense_activity_frames_total", {"site": "indoor", "activity": "walk"}) == 0
    assert value("cellsense_region_labels_total", {"site": "city", "covered": "true"}) == 0
    assert value("cellsense_activity_frames_total", {"site": "city", "activity": "walk"}) is None
    assert value("cellsense_position_error_meters_count", {"site": "indoor"}) is None


def test_series_of_weights_are_those_of_the_model_that_serves_the_site() -> None:
    metrics = Metrics()
    metrics.expect([(CITY, MULTIMODAL), (STREET, RADIO)])
    value = metrics.registry.get_sample_value
    for carrier in ("3.55GHz", "28GHz"):
        assert value("cellsense_router_weight_count", {"site": "street", "carrier": carrier, "cue": "aoa"}) == 0
    assert value("cellsense_router_weight_count", {"site": "city", "carrier": "28GHz", "cue": "aoa"}) is None
    assert value("cellsense_gate_weight_count", {"site": "street", "modality": "csi"}) is None
    assert value("cellsense_gate_weight_count", {"site": "city", "modality": "csi"}) == 0


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.traffic.frames.labels("city", "200").inc()
    assert b'cellsense_frames_total{site="city",status="200"} 1.0' in first.render()
    assert b'cellsense_frames_total{site="city"' not in second.render()


def test_build_says_what_runs() -> None:
    text = Metrics(commit="abc1234").render().decode()
    assert re.search(
        r'cellsense_build_info\{commit="abc1234",onnxruntime="\d+\.[^"]+",python="3\.[^"]+",version="', text
    )
