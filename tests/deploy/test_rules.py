"""Prometheus's configuration and rules, by promtool and by eye: no alert without a test, a board and a paragraph."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from deploy.grafana.board import FLEET, SENSING, SERVICE
from deploy.grafana.limits import alerts
from tests.deploy.prometheus_process import DEPLOYED, need_prometheus

RUNBOOK = DEPLOYED.parent / "RUNBOOK.md"
PROVISIONING = DEPLOYED.parent / "grafana" / "provisioning"
UNIT_TESTS = sorted((DEPLOYED / "tests").glob("*.yml"))
ANCHOR = re.compile(r"\(#([\w-]+)\)")


def promtool(*arguments: str) -> None:
    ended = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def paragraphs() -> dict[str, str]:
    """What the runbook says, by the anchor of its heading."""
    parts = re.split(r"^### (\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE)
    return {heading.lower(): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


@need_prometheus
def test_configuration_and_rules_are_valid() -> None:
    promtool("check", "config", "--lint-fatal", str(DEPLOYED / "prometheus.yml"))


@need_prometheus
@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: file.stem)
def test_rules_pass_their_unit_tests(file: Any) -> None:
    promtool("test", "rules", str(file))


@pytest.mark.parametrize("name", alerts())
def test_alert_is_seen_to_fire_and_to_be_quiet(name: str) -> None:
    cases = [
        case
        for file in UNIT_TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == name
    ]
    assert any(case.get("exp_alerts") for case in cases)
    assert any(not case.get("exp_alerts") for case in cases)


@pytest.mark.parametrize("name", alerts())
def test_alert_says_how_bad_it_is_where_to_look_and_what_to_do(name: str) -> None:
    rule = alerts()[name]
    assert rule["for"]
    assert rule["labels"]["severity"] in ("critical", "warning")
    told = rule["annotations"]
    assert told["summary"]
    assert told["description"]
    assert re.match(r"/d/([\w-]+)", told["board"])[1] in (SERVICE, SENSING, FLEET)  # type: ignore[index]
    file, anchor = told["runbook_url"].split("#")
    assert (DEPLOYED.parents[1] / file).samefile(RUNBOOK)
    assert anchor == name.lower()
    assert len(paragraphs()[anchor]) > 200


def test_runbook_has_no_paragraph_too_many_and_no_loose_end() -> None:
    assert list(paragraphs()) == [name.lower() for name in alerts()]
    assert set(ANCHOR.findall(RUNBOOK.read_text())) <= set(paragraphs())


def test_boards_and_rules_agree_on_pace_job_and_source() -> None:
    config = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    assert source["isDefault"]
    jobs = re.findall(r'job="([^"]+)"', "".join(file.read_text() for file in (DEPLOYED / "rules").glob("*.yml")))
    assert set(jobs) == {job["job_name"]}
