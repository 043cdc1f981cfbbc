"""What `docker compose up` would run, checked without an engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from service import cli
from service.demo.recording import read_recording, shipped_samples
from service.settings import Settings
from tests.docker.recipe import read_stages
from tests.docker.test_dockerfiles import VERSION
from tests.e2e.gateway_process import serving

FOLDER = Path(__file__).resolve().parents[2] / "docker"
PROMETHEUS = FOLDER.parent / "deploy/prometheus"
FILES = sorted(FOLDER.glob("compose*.yaml"))
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
MOVING_S = 60.0  # the boards move within a minute
COUNTED = {  # what moves when frames, or labels of a task, arrive
    "frames": "cellsense_frames_total",
    "position": "cellsense_region_labels_total",
    "los": "cellsense_los_labels_total",
    "activity": "cellsense_activity_labels_total",
}


def _validate(path: Path) -> subprocess.CompletedProcess[str]:
    """Against the JSON schema of the compose specification, as the package of the validator ships it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_follow_the_compose_specification(path: Path) -> None:
    done = _validate(path)
    assert done.returncode == 0, done.stdout


def test_a_file_that_does_not_follow_it_is_found(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: b, read_olny: true}}")
    assert _validate(tmp_path / "compose.yaml").returncode == 1


def test_overlays_change_only_services_that_there_are() -> None:
    overlays = [path for path in FILES if path.name != "compose.yaml"]
    assert [path.name for path in overlays] == ["compose.gpu.yaml"]
    assert set(yaml.safe_load(overlays[0].read_text())["services"]) <= set(SERVICES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_images_are_pinned_and_ours_have_our_version(path: Path) -> None:
    for service in yaml.safe_load(path.read_text())["services"].values():
        name, _, tag = service["image"].partition(":")
        assert re.match(r"v?\d+\.\d+\.\d+", tag), service["image"]
        assert ("build" in service) == (name == "cellsense")
        if name == "cellsense":
            assert tag == f"{VERSION}-{service['build']['target']}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_targets_are_stages_of_the_dockerfile(path: Path) -> None:
    stages = read_stages(FOLDER / "service.Dockerfile")
    builds = [s["build"] for s in yaml.safe_load(path.read_text())["services"].values() if "build" in s]
    assert {build["target"] for build in builds} <= set(stages)
    for build in builds:
        if "context" in build:
            assert (FOLDER / build["context"] / build["dockerfile"]).samefile(FOLDER / "service.Dockerfile")


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_mounted_files_are_there_and_read_only(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, _, *mode = volume.split(":")
        if source.startswith("."):
            assert (FOLDER / source).exists(), source
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_service_is_set_up_by_settings_that_there_are() -> None:
    names = {name.removeprefix("CELLSENSE_").lower() for name in SERVICES["service"]["environment"]}
    assert names <= set(Settings.model_fields)
    assert SERVICES["service"]["environment"]["CELLSENSE_REDIS"] == "redis://redis:6379"
    grace_s = int(SERVICES["service"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > Settings.model_fields["drain_s"].default


def test_what_is_waited_for_tells_its_health() -> None:
    waiting = {name: service["depends_on"] for name, service in SERVICES.items() if "depends_on" in service}
    healthy = {"condition": "service_healthy"}
    assert waiting == {
        "service": {"redis": healthy},
        "controller": {"service": healthy},
        "grafana": ["prometheus"],
    }
    assert SERVICES["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    # The service's health check is that of its image.
    assert not {"healthcheck", "command", "entrypoint"} & set(SERVICES["service"])


def test_published_ports_are_those_that_the_programs_listen_on() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    grpc_port = re.search(r"CELLSENSE_GRPC_PORT=(\d+)", (FOLDER / "service.Dockerfile").read_text())
    assert grpc_port is not None
    service = [Settings.model_fields["port"].default, grpc_port[1]]
    listening = {"service": service, "prometheus": [9090], "grafana": [3000]}
    assert published == {name: [f"127.0.0.1:{port}:{port}" for port in ports] for name, ports in listening.items()}


def test_prometheus_finds_its_configuration_and_rules_and_scrapes_the_service() -> None:
    mounted = _mounted("prometheus")
    flags = dict(flag.removeprefix("--").split("=") for flag in SERVICES["prometheus"]["command"])
    config = Path(flags["config.file"])
    assert mounted[config].samefile(PROMETHEUS / "prometheus.yml")
    written = yaml.safe_load(mounted[config].read_text())
    for pattern in written["rule_files"]:
        rules = config.parent / pattern
        assert mounted[rules.parent].samefile(PROMETHEUS / "rules")
        assert list(mounted[rules.parent].glob(rules.name))
    (job,) = written["scrape_configs"]
    (discovery,) = job["dns_sd_configs"]
    assert (discovery["names"], discovery["port"]) == (["service"], Settings.model_fields["port"].default)
    assert set(discovery["names"]) <= set(SERVICES)
    assert f"prometheus:{flags['storage.tsdb.path']}" in SERVICES["prometheus"]["volumes"]


def test_grafana_is_provisioned_with_prometheus_and_the_boards() -> None:
    mounted = _mounted("grafana")
    provisioning = mounted[Path("/etc/grafana/provisioning")]
    (source,) = yaml.safe_load(next(provisioning.glob("datasources/*.yaml")).read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in SERVICES
    (provider,) = yaml.safe_load(next(provisioning.glob("dashboards/*.yaml")).read_text())["providers"]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == Path(provider["options"]["path"])
    assert (mounted[home.parent] / home.name).is_file()


def _mounted(name: str) -> dict[Path, Path]:
    """What a service sees of the repository: places in the container, and what is there."""
    volumes = [volume.split(":") for volume in SERVICES[name]["volumes"]]
    return {Path(place): FOLDER / source for source, place, *_ in volumes if source.startswith(".")}


def test_controller_asks_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(cli, "stream", lambda **options: asked.update(options) or 0)
    assert cli.main(SERVICES["controller"]["command"]) == 0
    assert asked == {"files": [], "url": "http://service:8000"}


def test_controller_makes_every_site_of_a_sample_and_its_labels_move_within_a_minute(tmp_path: Path) -> None:
    with serving(tmp_path / "service.log") as gateway:
        gateway.wait_for("/readyz", 200)
        command = [gateway.url if part == "http://service:8000" else part for part in SERVICES["controller"]["command"]]
        with (tmp_path / "controller.log").open("wb") as log:
            controller = subprocess.Popen(
                [sys.executable, "-m", "service.cli", *command], stdout=log, stderr=log, env=dict(os.environ)
            )
        try:
            sampled = {
                frame["site"]
                for path in shipped_samples(Settings().models)
                for exchange in read_recording(path)
                for frame in exchange.request["frames"]
            }
            sites = [s for s in httpx.get(f"{gateway.url}/v1/sites").json()["sites"] if s["name"] in sampled]
            assert len(sites) == len(sampled)
            wanted = {(COUNTED[task], site["name"]) for site in sites for task in ("frames", *site["tasks"])}
            give_up_at = time.monotonic() + MOVING_S
            moved: set[tuple[str, str]] = set()
            while not wanted <= moved and time.monotonic() < give_up_at:
                time.sleep(0.5)
                moved = _moved(httpx.get(f"{gateway.url}/metrics").text)
        finally:
            controller.terminate()
            assert controller.wait(20.0) == 0, (tmp_path / "controller.log").read_text()
    assert wanted <= moved


def _moved(metrics: str) -> set[tuple[str, str]]:
    """Which series count something, by name and site."""
    found = re.findall(r'^(\w+)\{[^}]*site="([^"]+)"[^}]*\} (\S+)$', metrics, re.MULTILINE)
    return {(name, site) for name, site, value in found if float(value) > 0}
