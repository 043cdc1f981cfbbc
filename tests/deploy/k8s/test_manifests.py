"""The manifests of deploy/k8s: what a cluster would say to them, and whether they fit together and fit the service."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.metrics import Metrics
from service.settings import Settings
from tests.deploy.k8s.kustomize import build
from tests.deploy.prometheus_process import need_prometheus
from tests.docker.recipe import Stage, read_stages

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy/k8s"
WHOLE = sorted(path for folder in ("base", "redis") for path in (FOLDER / folder).glob("*.yaml"))
OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()  # 1.30: the first that knows `sleep` before the end
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
# Of monitoring.coreos.com/v1, ServiceMonitor: those that are used here, as the operator's reference spells them.
MONITOR_FIELDS, ENDPOINT_FIELDS = {"jobLabel", "selector", "endpoints"}, {"port", "path", "interval", "scrapeTimeout"}
Resource = dict[str, Any]


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def overlay(request: pytest.FixtureRequest) -> dict[tuple[str, str], Resource]:
    """The resources of an overlay by kind and name."""
    return {(r["kind"], r["metadata"]["name"]): r for r in build(FOLDER / request.param)}


@pytest.fixture
def stages() -> dict[str, Stage]:
    return read_stages(ROOT / "docker/service.Dockerfile")


def _validate(resource: Resource, version: str) -> None:
    """Against the schemas of Kubernetes itself; what others define is known by its fields."""
    if (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "ServiceMonitor"):
        assert set(resource) == {"apiVersion", "kind", "metadata", "spec"}
        assert set(resource["spec"]) <= MONITOR_FIELDS
        assert all(set(endpoint) <= ENDPOINT_FIELDS for endpoint in resource["spec"]["endpoints"])
    else:
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_whole_resources_are_valid_as_they_are(path: Path) -> None:
    for resource in yaml.safe_load_all(path.read_text()):
        if resource["kind"] not in ("Kustomization", "Component"):
            _validate(resource, NEWEST)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_overlays_are_valid(overlay: dict[tuple[str, str], Resource], version: str) -> None:
    kinds = [kind for kind, _ in overlay]
    assert {"HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor"} <= set(kinds)
    for resource in overlay.values():
        _validate(resource, version)


def test_a_field_that_there_is_not_is_found() -> None:
    resource = yaml.safe_load((FOLDER / "base/deployment.yaml").read_text())
    resource["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        _validate(resource, NEWEST)
    monitor = yaml.safe_load((FOLDER / "base/monitor.yaml").read_text())
    monitor["spec"]["endpoints"][0]["intervall"] = "5s"
    with pytest.raises(AssertionError):
        _validate(monitor, NEWEST)


def test_everything_is_in_the_namespace_that_the_overlay_makes(overlay: dict[tuple[str, str], Resource]) -> None:
    (namespace,) = [name for kind, name in overlay if kind == "Namespace"]
    inside = [resource["metadata"] for (kind, _), resource in overlay.items() if kind != "Namespace"]
    assert {metadata["namespace"] for metadata in inside} == {namespace}


def _pod(overlay: dict[tuple[str, str], Resource]) -> Resource:
    pod: Resource = overlay["Deployment", "cellsense"]["spec"]["template"]["spec"]
    return pod


def test_images_are_ours_of_this_version(overlay: dict[tuple[str, str], Resource]) -> None:
    pod = _pod(overlay)
    kind = "cuda" if "nodeSelector" in pod else "cpu"
    assert pod["containers"][0]["image"] == f"cellsense:{VERSION}-{kind}"
    assert ("nvidia.com/gpu" in pod["containers"][0]["resources"]["limits"]) == (kind == "cuda")


def test_redis_is_the_one_of_compose(overlay: dict[tuple[str, str], Resource]) -> None:
    (redis,) = overlay["Deployment", "redis"]["spec"]["template"]["spec"]["containers"]
    composed = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]["redis"]
    assert (redis["image"], redis["args"]) == (composed["image"], composed["command"])


def test_probes_ask_what_the_service_means_by_live_and_ready(overlay: dict[tuple[str, str], Resource]) -> None:
    container = _pod(overlay)["containers"][0]
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["http"] == Settings.model_fields["port"].default
    assert {probe["port"] for probe in asked.values()} == {"http"}
    assert set(ports) == {"http", "grpc"}


def test_replica_is_given_the_time_that_it_needs_to_end(overlay: dict[tuple[str, str], Resource]) -> None:
    pod = _pod(overlay)
    before_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > before_s + Settings.model_fields["drain_s"].default


def test_replica_runs_as_the_user_of_the_image_with_nothing_to_write_but_tmp(
    overlay: dict[tuple[str, str], Resource], stages: dict[str, Stage]
) -> None:
    pod = _pod(overlay)
    (user,) = [step.values[0] for step in stages["runtime"].steps if step.name == "USER"]
    assert user == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    container = pod["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]


def test_no_variable_of_the_cluster_is_taken_for_a_setting(overlay: dict[tuple[str, str], Resource]) -> None:
    # Of a service named cellsense every pod would be told CELLSENSE_PORT=tcp://..., if it were asked for.
    assert ("Service", "cellsense") in overlay
    assert _pod(overlay)["enableServiceLinks"] is False
    (settings,) = [resource["data"] for (kind, _), resource in overlay.items() if kind == "ConfigMap"]
    assert {name.removeprefix("CELLSENSE_").lower() for name in settings} <= set(Settings.model_fields)


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"])
def test_selectors_find_what_they_mean(overlay: dict[tuple[str, str], Resource], kind: str) -> None:
    template = overlay["Deployment", "cellsense"]["spec"]["template"]["metadata"]["labels"]
    labelled = overlay["Service", "cellsense"]["metadata"]["labels"] if kind == "ServiceMonitor" else template
    spec = overlay[kind, "cellsense"]["spec"]
    selector = spec.get("podSelector") or spec["selector"]
    wanted = selector.get("matchLabels", selector)
    assert wanted
    assert wanted.items() <= labelled.items()


def test_metrics_come_out_under_the_job_that_rules_and_boards_ask_for(
    overlay: dict[tuple[str, str], Resource],
) -> None:
    monitor, service = overlay["ServiceMonitor", "cellsense"]["spec"], overlay["Service", "cellsense"]
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "cellsense"
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["global"]
    assert endpoint["interval"] == scraped["scrape_interval"]


def test_service_may_reach_its_redis_and_redis_nobody(overlay: dict[tuple[str, str], Resource]) -> None:
    label = overlay["Deployment", "redis"]["spec"]["template"]["metadata"]["labels"]
    egress = overlay["NetworkPolicy", "cellsense"]["spec"]["egress"]
    reached = [to["podSelector"]["matchLabels"] for rule in egress for to in rule["to"] if "podSelector" in to]
    assert reached == [label]
    redis = overlay["NetworkPolicy", "redis"]["spec"]
    assert redis["egress"] == []
    (rule,) = redis["ingress"]
    (source,) = rule["from"]
    template = overlay["Deployment", "cellsense"]["spec"]["template"]["metadata"]["labels"]
    assert source["podSelector"]["matchLabels"].items() <= template.items()


def test_autoscaler_asks_for_the_metric_that_the_adapter_makes(overlay: dict[tuple[str, str], Resource]) -> None:
    scaler = overlay["HorizontalPodAutoscaler", "cellsense"]["spec"]
    assert (scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"]) == ("Deployment", "cellsense")
    assert "replicas" not in overlay["Deployment", "cellsense"]["spec"]  # or every apply would undo the autoscaler's
    (metric,) = scaler["metrics"]
    assert metric["pods"]["metric"]["name"] == _adapter_rule()["name"]["as"]


def test_adapter_asks_for_a_histogram_that_the_service_declares() -> None:
    series = _adapter_rule()["seriesQuery"].partition("{")[0]
    declared = {(family.name, family.kind) for family in Metrics().families}
    assert (series.removesuffix("_bucket"), "histogram") in declared


@need_prometheus
def test_adapter_finds_how_long_frames_waited_at_each_replica(tmp_path: Path) -> None:
    rule = _adapter_rule()
    filled = {
        "<<.Series>>": rule["seriesQuery"].partition("{")[0],
        "<<.LabelMatchers>>": 'namespace="cellsense",pod=~"quick|slow"',
        "<<.GroupBy>>": "pod",
    }
    query = re.sub("|".join(map(re.escape, filled)), lambda match: filled[match[0]], rule["metricsQuery"])
    assert "<<" not in query
    # One replica whose frames all wait for at most 10 ms, one whose frames all wait for 100 to 250 ms, and a stranger.
    buckets = {
        ("cellsense", "quick"): {"0.01": "0+100x20", "0.1": "0+100x20", "0.25": "0+100x20", "+Inf": "0+100x20"},
        ("cellsense", "slow"): {"0.01": "0+0x20", "0.1": "0+0x20", "0.25": "0+100x20", "+Inf": "0+100x20"},
        ("elsewhere", "slow"): {"0.01": "0+9x20", "0.1": "0+9x20", "0.25": "0+9x20", "+Inf": "0+9x20"},
    }
    series = [
        {"series": f'{filled["<<.Series>>"]}{{namespace="{namespace}",pod="{pod}",le="{le}"}}', "values": values}
        for (namespace, pod), found in buckets.items()
        for le, values in found.items()
    ]
    expected = [{"labels": f'{{pod="{pod}"}}', "value": value} for pod, value in (("quick", 95), ("slow", 2425))]
    evaluated = {"expr": f"round(10000 * {query})", "eval_time": "90s", "exp_samples": expected}
    tests = [{"interval": "5s", "input_series": series, "promql_expr_test": [evaluated]}]
    (tmp_path / "adapter.yml").write_text(yaml.safe_dump({"tests": tests}))
    told = subprocess.run(["promtool", "test", "rules", tmp_path / "adapter.yml"], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


def _adapter_rule() -> dict[str, Any]:
    (rule,) = yaml.safe_load((FOLDER / "adapter.yaml").read_text())["rules"]["custom"]
    return dict(rule)
