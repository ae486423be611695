"""The page as `make web` builds it, and a browser to open it in; skipped where either is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from chromium import find_chromium, open_page  # noqa: E402
from page_server import serve_folder  # noqa: E402


@pytest.fixture(scope="session")
def dist() -> Path:
    """web/dist."""
    folder = ROOT / "web" / "dist"
    if not (folder / "index.html").is_file():
        pytest.skip("the page is not built: make web")
    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """The command that runs a TypeScript file beside this one in Node, with the page's files that it imports."""
    node, bundler = shutil.which("node"), ROOT / "web" / "node_modules" / ".bin" / "esbuild"
    if node is None or not bundler.exists():
        pytest.skip("no Node or no web/node_modules: make web")

    def bundle(name: str) -> list[str]:
        source = Path(__file__).with_name(name)
        script = tmp_path_factory.mktemp("web") / f"{source.stem}.mjs"
        options = ["--bundle", "--platform=node", "--format=esm", f"--outfile={script}", "--log-level=warning"]
        subprocess.run([bundler, source, *options], check=True)
        return [node, str(script)]

    return bundle


@pytest.fixture(scope="module")
def address(dist: Path) -> Iterator[str]:
    """Where the page is served, isolated, so that it may use threads."""
    with serve_folder(dist) as address:
        yield address


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An empty tab; what it downloads lies in `page.downloads`."""
    if find_chromium() is None:
        pytest.skip("no Chromium; on Debian: apt install chromium")
    with open_page() as page:
        page.downloads = tmp_path_factory.mktemp("downloads")
        page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(page.downloads))
        yield page
