"""The history of a run: history.jsonl, one line per epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bcpnet.storage.files import write_bytes


def record(run: Path, line: dict[str, Any]) -> None:
    """Adds a line to history.jsonl, in place of those that a resumed run repeats. Raises InputError where it cannot.

    Args:
        run: the folder.
        line: one epoch; "step" orders them.
    """
    kept = [old for old in _lines(run) if json.loads(old)["step"] < line["step"]]
    write_bytes(run / "history.jsonl", "".join(f"{text}\n" for text in [*kept, json.dumps(line)]).encode())


def last_evaluation(run: Path) -> dict[str, Any] | None:
    """The newest line with a score ("miou"), or None before the first evaluation."""
    evaluated = [line for line in map(json.loads, _lines(run)) if "miou" in line]
    return evaluated[-1] if evaluated else None


def _lines(run: Path) -> list[str]:
    history = run / "history.jsonl"
    return history.read_text().splitlines() if history.exists() else []
