"""The page as `make web` puts it into the package."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from service_here import client_of, encoded, new_service, pixels, running
from tools_here import load_tool

import bcpnet
from bcpnet.data.streets import Streets
from bcpnet.segmenter import Segmenter
from bcpnet.serving.models import Models
from bcpnet.serving.page import has_page

WEB = Path(__file__).resolve().parents[2] / "web"


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    """What would lie in the package."""
    node = shutil.which("node")
    if node is None or not (WEB / "dist" / "index.html").is_file():
        pytest.skip("no Node, or the page is not built: make web")
    subprocess.run([node, WEB / "package-page.mjs", "--out", tmp_path / "page"], check=True)
    return tmp_path / "page"


def test_the_service_gives_what_the_built_page_has(
    packaged: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the runtime for WebGPU, which the page then does not offer, and what times the page."""
    monkeypatch.setattr("bcpnet.serving.page._INSTALLED", packaged)
    client = client_of(new_service(models))
    built = {path.relative_to(WEB / "dist").as_posix(): path for path in (WEB / "dist").rglob("*") if path.is_file()}
    missing = {name for name in built if client.get(f"/{name}").status_code == 404}
    assert {name.rpartition(".")[0] for name in missing} == {"ort-wasm-simd-threaded.asyncify", "measure"}
    for name in built.keys() - missing - {"models.json"}:
        assert client.get(f"/{name}").content == built[name].read_bytes(), name
    runtime = packaged / "ort-wasm-simd-threaded.wasm.gz"
    expected = {**json.loads(built["models.json"].read_text()), "webgpu": False, "runtimeBytes": runtime.stat().st_size}
    assert client.get("/models.json").json() == expected
    assert sum(path.stat().st_size for path in packaged.iterdir()) < 10e6  # of the wheel, and of every install


@pytest.mark.slow
def test_it_runs_in_a_browser_that_bcpnet_serve_serves(tmp_path: Path, segmenter: Segmenter) -> None:
    """Without --page, as installed: it computes in the browser and, asked to, on the server."""
    if not has_page(None):
        pytest.skip("the page is not in the package: make web")
    chromium = load_tool("chromium")
    if chromium.find_chromium() is None:
        pytest.skip("no Chromium; on Debian: apt install chromium")
    street = Streets("test", (180, 320), 1)[0].image
    picture = tmp_path / "street.png"
    picture.write_bytes(encoded(street))
    frames = "Number(document.querySelector('#stage').dataset.frames || 0)"
    with running(tmp_path, "--threads", "1") as server, chromium.open_page() as page:
        page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"))
        page.open(f"{server.address}/")
        page.wait("[...document.querySelectorAll('#unit option')].some(option => option.value === 'server')")
        page.choose_file("#file", picture)
        page.wait(f"{frames} === 1", 120)
        in_browser = saved_class_map(page, tmp_path / "saved" / "street.png")
        unit = "document.querySelector('#unit')"
        page.evaluate(f"{unit}.value = 'server'; {unit}.dispatchEvent(new Event('change'))")
        page.wait(f"{frames} === 2", 120)
        on_server = saved_class_map(page, tmp_path / "saved" / "street.png")
        assert page.errors == []
    expected = bcpnet.load("camvid", backend="onnxruntime", threads=1)(street).class_map
    assert np.mean(in_browser == expected) >= 0.999
    np.testing.assert_array_equal(on_server, segmenter(street).class_map)


def saved_class_map(page: Any, path: Path) -> npt.NDArray[np.uint8]:
    """What the button saves."""
    path.unlink(missing_ok=True)
    page.click("#save-map")
    until = time.monotonic() + 60
    while not path.is_file():
        assert time.monotonic() < until
        time.sleep(0.05)
    return pixels(path.read_bytes())
