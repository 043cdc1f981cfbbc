"""Every query of the boards and of the rules, against a real Prometheus that watches the service under load."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
import yaml

from deploy.grafana.board import FIRING
from deploy.grafana.draw import draw_board
from deploy.grafana.generate import FOLDER
from deploy.grafana.reading import chosen, fill, other_queries, read_board
from deploy.grafana.source import Series, Source
from service.contract.manifest import Manifest
from service.settings import Settings
from tests.deploy.observed import REPLICAS, Observed
from tests.deploy.prometheus_process import DEPLOYED, EVERY_S, need_prometheus, wait_until

pytestmark = need_prometheus

SHOWN_S = 30.0
DATA_TIMEOUT_S = 90.0
ALERT_TIMEOUT_S = 60.0
BOARDS = sorted(FOLDER.glob("*.json"))
MODELS = Settings().models
NOT_HERE = ("cellsense_device_memory",)  # only with CUDA
COMPARISON = re.compile(r"==|>=|<=|>|<")
RULES: list[dict[str, Any]] = [
    rule
    for file in sorted((DEPLOYED / "rules").glob("*.yml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]


def has_data(found: list[Series]) -> bool:
    return any(math.isfinite(value) for series in found for _, value in series.samples)


def without_data(source: Source, queries: dict[str, tuple[str, bool]]) -> set[str]:
    """Names of the queries (text, and whether it is an instant one) that Prometheus answers with nothing."""
    now_s = time.time()
    return {
        name
        for name, (expr, instant) in queries.items()
        if not has_data(source.at(expr) if instant else source.over(expr, now_s - SHOWN_S, now_s, EVERY_S))
    }


def assert_all_have_data(source: Source, queries: dict[str, tuple[str, bool]]) -> None:
    missing = set(queries)

    def found() -> bool:
        nonlocal missing
        missing = without_data(source, {name: queries[name] for name in missing})
        return not missing

    wait_until(found, DATA_TIMEOUT_S, lambda: {name: queries[name][0] for name in sorted(missing)})


@pytest.mark.parametrize("board", BOARDS, ids=lambda file: file.stem)
def test_every_query_of_a_board_returns_data(fleet: Observed, board: Path) -> None:
    values = chosen(SHOWN_S, EVERY_S)
    queries = {
        f"{panel.title} [{target.ref}]": (fill(target.expr, values), target.instant)
        for panel in read_board(board)
        for target in panel.targets
        if not any(metric in target.expr for metric in NOT_HERE)
    }
    others = {name: (fill(expr, values), False) for name, expr in other_queries(board) if expr != FIRING}
    assert len(queries) > 15
    assert others
    assert_all_have_data(fleet.prometheus, queries | others)


def test_variables_choose_among_the_sites_and_the_replicas_that_there_are(fleet: Observed) -> None:
    served = sorted({site.name for path in MODELS.glob("*/manifest.json") for site in Manifest.load(path.parent).sites})
    assert fleet.prometheus.get("label/site/values", **{"match[]": "cellsense_artifact_info"}) == served
    instances = fleet.prometheus.get("label/instance/values", **{"match[]": 'up{job="cellsense"}'})
    assert instances == sorted(f"127.0.0.1:{replica.address[1]}" for replica in fleet.replicas)
    (panel,) = [panel for panel in read_board(FOLDER / "fleet.json") if panel.title == "Frames, by replica"]
    (target,) = panel.targets
    one = fleet.prometheus.at(fill(target.expr, chosen(SHOWN_S, EVERY_S, replica=instances[0])))
    assert [series.labels for series in one] == [{"instance": instances[0]}]


def test_every_recording_rule_returns_data(fleet: Observed) -> None:
    names = [rule["record"] for rule in RULES if "record" in rule]
    assert len(names) == len(set(names)) > 20
    assert_all_have_data(fleet.prometheus, {name: (name, True) for name in names})


def test_every_alert_has_data_to_judge(fleet: Observed) -> None:
    # With `bool` a comparison answers 0 or 1 instead of nothing: it is empty only where its series are.
    exprs = {rule["alert"]: COMPARISON.sub(r"\g<0> bool", rule["expr"]) for rule in RULES if "alert" in rule}
    assert len(exprs) > 20
    assert_all_have_data(fleet.prometheus, {name: (expr, True) for name, expr in exprs.items()})


def test_no_rule_fails(fleet: Observed) -> None:
    def states() -> dict[str, tuple[str, str]]:
        groups = fleet.prometheus.get("rules")["groups"]
        return {rule["name"]: (rule["health"], rule.get("lastError", "")) for g in groups for rule in g["rules"]}

    wait_until(lambda: all(health != "unknown" for health, _ in states().values()), ALERT_TIMEOUT_S, states)
    assert {name: state for name, state in states().items() if state[0] != "ok"} == {}
    assert len(states()) == len(RULES)


@pytest.mark.parametrize("board", BOARDS, ids=lambda file: file.stem)
def test_board_can_be_drawn(fleet: Observed, board: Path, tmp_path: Path) -> None:
    draw_board(fleet.prometheus, board, tmp_path / "board.png", SHOWN_S, time.time())
    picture = matplotlib.image.imread(tmp_path / "board.png")
    assert picture.shape[0] > 1000
    assert picture.shape[1] > 1000
    assert len({tuple(color) for color in picture[::20, ::20, :3].reshape(-1, 3)}) > 10


def test_alert_fires_while_redis_is_stopped_and_ends_when_it_is_started_again(fleet: Observed) -> None:
    def firing() -> set[str]:
        alerts = fleet.prometheus.get("alerts")["alerts"]
        down = [alert for alert in alerts if alert["labels"]["alertname"] == "CellsenseRedisDown"]
        return {alert["labels"]["instance"] for alert in down if alert["state"] == "firing"}

    wait_until(lambda: has_data(fleet.prometheus.at("cellsense_redis_up == 1")), ALERT_TIMEOUT_S, firing)
    assert firing() == set()
    fleet.redis.stop()
    try:
        wait_until(lambda: len(firing()) == REPLICAS, ALERT_TIMEOUT_S, firing)
        wait_until(lambda: has_data(fleet.prometheus.at(FIRING)), ALERT_TIMEOUT_S, lambda: "no mark on the boards")
        degraded = "sum(rate(cellsense_frames_degraded_total[10s])) > 0"  # answered nevertheless
        wait_until(lambda: has_data(fleet.prometheus.at(degraded)), ALERT_TIMEOUT_S, lambda: "no frame is degraded")
    finally:
        fleet.redis.start()
    wait_until(lambda: not firing(), ALERT_TIMEOUT_S, firing)
    wait_until(lambda: not has_data(fleet.prometheus.at(degraded)), ALERT_TIMEOUT_S, lambda: "still degraded")
