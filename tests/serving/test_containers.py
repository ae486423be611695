"""containers/: the recipe starts the service as it is, without rights; no Docker is needed for that."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from service_here import client_of, new_service

from bcpnet.cli import main
from bcpnet.serving.models import Models
from bcpnet.serving.service import Access

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "containers"


@pytest.fixture
def compose() -> Any:
    """The services of compose.yaml."""
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]


def instruction(name: str) -> str:
    """The last one of that name in the Dockerfile."""
    return re.findall(rf"^{name} (.*)$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)[-1]


def test_commands_are_those_of_bcpnet(compose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(import_module("bcpnet.cli.serve"), "run", lambda options: started.append(options) or 0)
    program, *verb = json.loads(instruction("ENTRYPOINT"))
    assert program == "bcpnet"
    for arguments in (json.loads(instruction("CMD")), compose["bcpnet"]["command"]):
        assert main([*verb, *arguments]) == 0
    assert {(options.host, options.port, str(options.token_file)) for options in started} == {
        ("0.0.0.0", 8000, "/run/secrets/bcpnet_token")
    }


def test_no_rights(compose: Any) -> None:
    assert int(instruction("USER").split(":")[0]) > 0
    for service in compose.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_what_is_copied_is_there() -> None:
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists()


def test_addresses_are_served(compose: Any, models: Models) -> None:
    client = client_of(new_service(models, access=Access("0123456789abcdef")))
    assert client.get("/" + instruction("HEALTHCHECK").partition("8000/")[2].partition("'")[0]).status_code == 200
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    headers = {"Authorization": f"{job['authorization'].get('type', 'Bearer')} 0123456789abcdef"}
    assert client.get(job.get("metrics_path", "/metrics"), headers=headers).status_code == 200
    assert job["static_configs"][0]["targets"] == [f"{name}:8000" for name in compose if name == "bcpnet"]
