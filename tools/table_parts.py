"""What the tables of the documents are made with: the results, and Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]


def results(name: str) -> Any:
    """The content of results/NAME.json."""
    return json.loads((REPOSITORY / "results" / f"{name}.json").read_text())


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """A table."""
    rule = f"|{'|'.join(['---'] * len(header))}|"
    rows = [f"| {' | '.join(line)} |" for line in (header, *lines)]
    return "\n".join([rows[0], rule, *rows[1:]])
