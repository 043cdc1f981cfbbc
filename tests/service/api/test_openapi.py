"""The OpenAPI file: valid, committed, no different from the code, with examples that hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from service.api import openapi
from service.api.examples import SENSE_REQUEST
from service.contract.manifest import Manifest
from tests.service.api.gateways import both_engines, fake_engines, running_gateway
from tests.service.api.requests import city_frame, street_frame
from tests.service.engine.artifacts import manifest

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    loaded: Json = yaml.safe_load(openapi.FILE.read_text())
    return loaded


def contents(document: Json) -> Iterator[tuple[str, Json]]:
    """Every body of a request or a response, by where it is."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for name, body in bodies.items():
                for kind, content in body.get("content", {}).items():
                    yield f"{method} {path} {name} {kind}", content


def errors(document: Json, schema: Json, value: Any) -> list[str]:
    validator = Draft202012Validator({"components": document["components"], **schema})
    return [error.message for error in validator.iter_errors(value)]


def test_file_is_valid_openapi(document: Json) -> None:
    validate(document)


def test_file_has_not_drifted_from_the_code() -> None:
    assert openapi.main(["--check"]) == 0


def test_drift_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "openapi.yaml"
    assert openapi.main(["--check", "--file", str(file)]) == 1
    assert openapi.main(["--file", str(file)]) == 0
    assert openapi.main(["--check", "--file", str(file)]) == 0
    file.write_text(file.read_text().replace("minItems: 1", "minItems: 0", 1))
    assert openapi.main(["--check", "--file", str(file)]) == 1
    assert "has drifted" in capsys.readouterr().err


def test_examples_validate_against_their_schemas(document: Json) -> None:
    found = {where: content for where, content in contents(document) if "example" in content}
    assert "post /v1/sense request application/json" in found
    assert "post /v1/sense 200 application/json" in found
    assert "post /v1/sense 422 application/problem+json" in found
    for where, content in found.items():
        assert errors(document, content["schema"], content["example"]) == [], where


def test_every_property_is_described(document: Json) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, property_ in schema.get("properties", {}).items():
            assert "description" in property_ or "$ref" in property_, f"{name}.{field}"


@pytest.mark.parametrize(
    "change",
    [
        {"frames": []},
        {"mode": 1},
        {"frames": [{**SENSE_REQUEST["frames"][0], "speed": 1}]},
        {"frames": [{**SENSE_REQUEST["frames"][0], "tasks": ["speed"]}]},
        {"frames": [{**SENSE_REQUEST["frames"][0], "csi": {"dtype": "complex64", "shape": [32, 63], "data": ""}}]},
        {"scenes": [{**SENSE_REQUEST["scenes"][0], "radar": {"dtype": "float32", "shape": [2, 5], "data": ""}}]},
    ],
)
def test_schema_refuses_what_the_service_refuses(document: Json, change: Json) -> None:
    schema = {"$ref": "#/components/schemas/SenseRequest"}
    assert errors(document, schema, SENSE_REQUEST) == []
    assert errors(document, schema, {**SENSE_REQUEST, **change}) != []


async def test_example_request_is_answered_as_the_schema_says(document: Json, redis: str) -> None:
    served: Manifest = manifest()
    async with running_gateway(redis, fake_engines(described_by=served)) as gateway:
        response = await gateway.post("/v1/sense", json=SENSE_REQUEST)
        assert response.status_code == 200
        assert [result["status"] for result in response.json()["results"]] == [200, 404]
        assert errors(document, {"$ref": "#/components/schemas/SenseResponse"}, response.json()) == []
        track = await gateway.get("/v1/trajectories/munich/ue-1")
        assert errors(document, {"$ref": "#/components/schemas/TrajectoryResponse"}, track.json()) == []
        sites = await gateway.get("/v1/sites")
        assert errors(document, {"$ref": "#/components/schemas/SitesResponse"}, sites.json()) == []


async def test_answers_of_a_radio_model_are_as_the_schema_says(document: Json, redis: str) -> None:
    async with running_gateway(redis, both_engines()) as gateway:
        body = {"frames": [street_frame(carrier_hz=3.55e9, distance_m=80.0, path=True), city_frame()]}
        assert errors(document, {"$ref": "#/components/schemas/SenseRequest"}, body) == []
        response = await gateway.post("/v1/sense", json=body)
        assert [result["status"] for result in response.json()["results"]] == [200, 200]
        assert errors(document, {"$ref": "#/components/schemas/SenseResponse"}, response.json()) == []
        track = await gateway.get("/v1/trajectories/street/ue-1")
        assert errors(document, {"$ref": "#/components/schemas/TrajectoryResponse"}, track.json()) == []
        sites = await gateway.get("/v1/sites")
        assert errors(document, {"$ref": "#/components/schemas/SitesResponse"}, sites.json()) == []


async def test_running_service_serves_the_same_document(document: Json, gateway: httpx.AsyncClient) -> None:
    assert (await gateway.get("/openapi.json")).json() == document


async def test_documentation_page_needs_nothing_from_the_internet(gateway: httpx.AsyncClient) -> None:
    page = (await gateway.get("/docs")).text
    assert "://" not in page.replace("http://gateway", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        (link,) = (word for word in page.replace('"', " ").split() if word.endswith(asset))
        response = await gateway.get(link)
        assert response.status_code == 200
        assert len(response.content) > 100_000
