"""The service is as /openapi.json says: schemathesis asks it in every way that the description allows, and others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from service_here import client_of, encoded, new_service

from bcpnet.serving.app import build_app
from bcpnet.serving.models import Models

schemathesis = pytest.importorskip("schemathesis", reason="asks the service by its description")
positive_data_acceptance = pytest.importorskip("schemathesis.specs.openapi.checks").positive_data_acceptance


@pytest.fixture(scope="module")
def operations(models: Models) -> list[Any]:
    """Each address and method, as the description has it, bound to an application."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", build_app(new_service(models)))
    return [operation.ok() for operation in schema.get_all_operations()]


def ask(operation: Any, requests: int) -> None:
    """Asks in so many ways, good and bad; each answer must be one that the description has."""
    settled = settings(
        max_examples=requests, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
    )

    @settled
    @given(case=strategies.one_of(operation.as_strategy(mode) for mode in schemathesis.GenerationMode))
    def check(case: Any) -> None:
        case.call_and_validate(excluded_checks=[positive_data_acceptance])  # a schema cannot say what an image is

    check()


def test_a_few_requests(operations: list[Any]) -> None:
    for operation in operations:
        ask(operation, 8)


@pytest.mark.slow
def test_many_requests(operations: list[Any]) -> None:
    for operation in operations:
        ask(operation, 100)


def test_the_description_has_every_address(models: Models, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bcpnet.serving.page._INSTALLED", tmp_path / "none")  # the page is not described
    app = build_app(new_service(models))
    paths = client_of(new_service(models)).get("/openapi.json").json()["paths"]
    own = {getattr(route, "path", "") for route in app.routes} - {"/", "/openapi.json", "/v1/stream"}
    assert set(paths) == own


def test_its_examples_are_good_requests(client: Any) -> None:
    document = client.get("/openapi.json").json()
    body = document["paths"]["/v2/models/{model}/infer"]["post"]["requestBody"]["content"]["application/json"]
    assert client.post("/v2/models/camvid/infer", json=body["example"]).status_code == 200
    for parameter in document["paths"]["/v1/segment"]["post"]["parameters"]:
        query = {parameter["name"]: parameter["example"]}
        assert client.post("/v1/segment", params=query, content=encoded()).status_code == 200
