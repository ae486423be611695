"""The history of a run: history.jsonl, one line per epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bcpnet.storage.damaged import damage_told
from bcpnet.storage.files import write_bytes


def record(run: Path, line: dict[str, Any]) -> None:
    """Adds a line to history.jsonl, in place of those that a resumed run repeats. Raises InputError where it cannot.

    That it is damaged, too.

    Args:
        run: the folder.
        line: one epoch; "step" orders them.
    """
    kept = [old for old in read_history(run) if old["step"] < line["step"]]
    write_bytes(run / "history.jsonl", "".join(f"{json.dumps(each)}\n" for each in [*kept, line]).encode())


def last_evaluation(run: Path) -> dict[str, Any] | None:
    """The newest line with a score ("miou"), or None before the first evaluation."""
    evaluated = [line for line in read_history(run) if "miou" in line]
    return evaluated[-1] if evaluated else None


def best_evaluation(run: Path) -> dict[str, Any] | None:
    """The line with the highest score, the first of several: that of best.safetensors. None as above."""
    return max((line for line in read_history(run) if "miou" in line), key=lambda line: line["miou"], default=None)


def read_history(run: Path) -> list[dict[str, Any]]:
    """The lines; none where there is no history yet. Raises InputError where it is damaged."""
    path = run / "history.jsonl"
    if not path.exists():
        return []
    with damage_told(path, "json", "damaged: mend it, or remove it to go on without the curve so far"):
        lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text.strip()]
        if not all(isinstance(line, dict) and isinstance(line.get("step"), int) for line in lines):
            raise ValueError("a line is no object with a step")
    return lines
