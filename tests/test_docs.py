"""Figures in the documents are those in results/; links and commands exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from documents import DOCUMENTS, ROOT
from tools_here import load_tool

import bcpnet
from bcpnet.benchmark.ceilings import Ceilings
from bcpnet.benchmark.comparison import Row
from bcpnet.benchmark.memory import Memory
from bcpnet.benchmark.timing import Times, Timing
from bcpnet.cli.main import VERBS
from bcpnet.data import DATASETS
from bcpnet.paper.document import document as paper_document
from bcpnet.training.recipes import RECIPES


@pytest.fixture(scope="module")
def update_docs() -> Any:
    """tools/update_docs.py as a module."""
    return load_tool("update_docs")


def test_tables_are_the_results(update_docs: Any) -> None:
    for document in update_docs.TABLES:
        assert update_docs.updated(document) == (ROOT / document).read_text(), "run python tools/update_docs.py"


def test_the_comparison_is_its_results() -> None:
    written, measured = ROOT / "docs" / "paper.md", ROOT / "results" / "paper.json"
    assert written.exists() == measured.exists()
    if measured.exists():
        assert written.read_text() == paper_document(json.loads(measured.read_text())), "run bcpnet paper"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Any:
    """tools/speed_tables.py with results of its own: `native`, the baseline, and a backend that is not installed."""
    times = Times(1.0, 1.0, 1.0, 1.0)
    timing = Timing(30, dict.fromkeys(("pre", "network", "post", "other"), times), Times(4.0, 4.0, 4.0, 4.0), times)
    slow = replace(timing, segment=Times(20.0, 20.0, 20.0, 20.0))
    rows = [
        Row("camvid", "native", "native", (64, 96), None, 11, timing=timing, memory=Memory(50.0, 80.0)),
        Row("camvid", "baseline", "onnxruntime", (64, 96), None, 11, timing=slow, memory=Memory(250.0, 320.0)),
        Row("camvid", "pytorch", None, (64, 96), None, error="not installed"),
    ]
    machine = {"cpu": "Example CPU", "usable_cores": 2, "date": "2026-01-02T03:04:05+00:00"}
    text = json.dumps({"rows": [row.as_dict(Ceilings(2, 100.0, 10.0)) for row in rows], "machine": machine})
    tables = load_tool("speed_tables")
    monkeypatch.setattr(tables, "results", lambda _: json.loads(text))
    return tables


def test_the_speed_table_compares_with_the_baseline(measured: Any) -> None:
    assert measured.speed_table().splitlines() == [
        "Example CPU, 2 cores, each runtime's own threads, 2026-01-02:",
        "",
        "| frame | backend | frames/s | pre, ms | network, ms | post, ms "
        "| speed-up over the baseline | peak memory, MiB |",
        "|---|---|---|---|---|---|---|---|",
        "| 64x96 | native | 250.0 | 1.0 | 1.0 | 1.0 | 5.0 | 80 |",
        "| 64x96 | baseline | 50.0 | 1.0 | 1.0 | 1.0 | 1.0 | 320 |",
    ]


def test_the_short_speed_table_has_a_row_for_each_size(measured: Any) -> None:
    assert measured.fastest_table().splitlines()[2:] == [
        "| frame | ms | frames/s | peak memory, MiB | baseline, ms | speed-up over the baseline |",
        "|---|---|---|---|---|---|",
        "| 64x96 | 4.0 | 250 | 80 | 20.0 | 5.0 |",
    ]


def test_the_levers_table_tells_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = load_tool("accuracy_tables")
    rows = [
        {"name": name, "drive": drive, "recipe": "camvid", "changes": changes, "miou": miou}
        for name, drive, changes, miou in (
            ("ours", "0006R0", {}, 0.4),
            ("ours", "0006R0", {}, 0.5),
            ("less", "0016E5", {"lovasz": "0", "crop_h": "96"}, 0.4825),
        )
    ]
    monkeypatch.setattr(tables, "results", lambda _: {"rows": rows})
    assert tables.levers_table().splitlines()[2:] == [
        "| `ours` | `camvid` | - | 45.0 | - | - |",
        "| `less` | `camvid` | lovasz 0, crop-h 96 | - | - | 48.2 |",
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"
    headings = re.findall(r"^#+ (.*)", document.read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)", document.read_text())) <= anchors


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document: Path) -> None:
    for verb in re.findall(r"`bcpnet ([a-z]+)", document.read_text()):  # tests/test_readme.py has those in blocks
        assert verb in VERBS, f"{document.name} names bcpnet {verb}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_scripts_exist_or_are_said_to_be_gone(document: Path) -> None:
    for script, what_follows in re.findall(r"(tools/\w+\.py)`?(.{12})", document.read_text().replace("\n", " ")):
        assert (ROOT / script).exists() or what_follows.startswith(" in commit "), f"{document.name} names {script}"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Also every link between its pages, and every name in a signature, leads somewhere."""
    pytest.importorskip("sphinx", reason="the site is made with Sphinx: .[docs]")
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-d", str(tmp_path / "trees")]
    command = [sys.executable, "-m", "sphinx", *options, "docs", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "site" / "api.html").read_text()
    assert all(f'id="bcpnet.{name}"' in page for name in dir(bcpnet) if not name.startswith("_"))


def test_the_training_guide_names_every_recipe() -> None:
    text = (ROOT / "docs" / "training.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) >= set(RECIPES)


def test_the_data_page_names_every_dataset() -> None:
    text = (ROOT / "docs" / "data.md").read_text()
    assert set(re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE)) == set(DATASETS)
