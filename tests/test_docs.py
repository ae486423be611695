"""Figures in the documents are those in results/; links and commands exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from bcpnet.cli.main import VERBS
from bcpnet.training.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def test_tables_are_the_results() -> None:
    spec = importlib.util.spec_from_file_location("update_docs", ROOT / "tools" / "update_docs.py")
    assert spec is not None
    assert spec.loader is not None
    update_docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(update_docs)
    for document in update_docs.TABLES:
        assert update_docs.updated(document) == (ROOT / document).read_text(), "run python tools/update_docs.py"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document: Path) -> None:
    for verb in re.findall(r"(?:^ {4}|`)bcpnet ([a-z]+)", document.read_text(), re.MULTILINE):
        assert verb in VERBS, f"{document.name} names bcpnet {verb}"


def test_the_training_guide_names_every_recipe() -> None:
    text = (ROOT / "docs" / "training.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) >= set(RECIPES)
