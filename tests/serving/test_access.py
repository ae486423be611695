"""Who may come in: tokens, other sites' pages; and what the page's folder gives out."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from service_here import client_of, encoded, new_service
from starlette.websockets import WebSocketDisconnect

from bcpnet.errors import UsageError
from bcpnet.serving.models import Models
from bcpnet.serving.page import page_routes
from bcpnet.serving.service import Access
from bcpnet.weights import path_of

TOKEN = "0123456789abcdef"
GUARDED = ["/v1/models", "/v2", "/v2/models/camvid", "/metrics", "/v1/nothing"]
OPEN = ["/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/openapi.json", "/"]


@pytest.mark.parametrize("path", [*GUARDED, *OPEN])
@pytest.mark.parametrize(
    "shown", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"bearer {TOKEN}"]
)
def test_token(path: str, shown: str | None, models: Models) -> None:
    client = client_of(new_service(models, access=Access(TOKEN)))
    done = client.get(path, headers={} if shown is None else {"Authorization": shown})
    is_good = shown == f"bearer {TOKEN}" or path in OPEN
    assert (done.status_code != 401) == is_good
    if not is_good:
        assert done.headers["www-authenticate"] == "Bearer"
        assert set(done.json()) == {"error"}


def test_a_stream_needs_the_token_too(models: Models) -> None:
    client = client_of(new_service(models, access=Access(TOKEN)))
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/stream"):
        pass
    with client.websocket_connect("/v1/stream", headers={"Authorization": f"Bearer {TOKEN}"}):
        pass


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://testserver", 200), ("https://evil.example", 403), ("null", 403), ("http://[", 403), (None, 200)],
)
def test_other_sites_pages_stay_out(origin: str | None, status: int, client: Any) -> None:
    done = client.post("/v1/segment", content=encoded(), headers={} if origin is None else {"Origin": origin})
    assert done.status_code == status
    assert "access-control-allow-origin" not in done.headers


def test_a_named_origin_may(models: Models) -> None:
    client = client_of(new_service(models, access=Access(TOKEN, ("https://a.example",))))
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/segment", headers=asked).status_code == 200
    headers = {"Origin": "https://a.example", "Authorization": f"Bearer {TOKEN}"}
    done = client.post("/v1/segment", content=encoded(), headers=headers)
    assert (done.status_code, done.headers["access-control-allow-origin"]) == (200, "https://a.example")
    assert (
        client.post("/v1/segment", content=encoded(), headers={**headers, "Origin": "https://b.example"}).status_code
        == 403
    )


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A built page, and a secret beside it."""
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>a page</title>")
    (folder / "assets" / "run.wasm").write_bytes(b"\0asm")
    return folder


def test_the_page(page: Path, models: Models) -> None:
    client = client_of(new_service(models, access=Access(page=page)))
    start = client.get("/")
    assert (start.text, start.headers["content-type"]) == ("<title>a page</title>", "text/html; charset=utf-8")
    assert start.headers["cross-origin-opener-policy"] == "same-origin"  # else browsers give it no threads
    assert client.get("/assets/run.wasm").headers["content-type"] == "application/wasm"
    for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "//etc/passwd", "/assets"):
        assert client.get(path).status_code == 404
    (page / "late.txt").write_text("not there as the service started")
    assert client.get("/late.txt").status_code == 404


def test_the_page_of_the_package(page: Path, models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """What compresses lies compressed, and the weights lie in the package already."""
    monkeypatch.setattr("bcpnet.serving.page._INSTALLED", page)
    (page / "assets" / "run.wasm").unlink()
    (page / "assets" / "run.wasm.gz").write_bytes(gzip.compress(b"\0asm"))
    (page / "models.json").write_text('{"weights": [{"name": "camvid"}]}')
    client = client_of(new_service(models))
    assert client.get("/").text == "<title>a page</title>"
    runtime = client.get("/assets/run.wasm", headers={"Accept-Encoding": "gzip, br"})
    assert (runtime.content, runtime.headers["content-type"]) == (b"\0asm", "application/wasm")
    assert client.get("/assets/run.wasm", headers={"Accept-Encoding": "br"}).status_code == 406
    assert client.get("/models/camvid.onnx").content == path_of("camvid", ".onnx").read_bytes()
    assert client.get("/models/camvid.md").headers["content-type"].startswith("text/")
    assert client.get("/models/camvid.safetensors").status_code == 404


def test_an_install_without_a_page_says_so(models: Models, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bcpnet.serving.page._INSTALLED", tmp_path / "none")
    assert "make web" in client_of(new_service(models)).get("/").json()["page"]


def test_a_folder_without_a_page(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"index\.html"):
        page_routes(tmp_path)


def test_wrong_addresses_are_told_in_json(client: Any) -> None:
    for done, status in ((client.get("/nowhere"), 404), (client.get("/v1/segment"), 405), (client.delete("/v2"), 405)):
        assert done.status_code == status
        assert set(done.json()) == {"error"}
