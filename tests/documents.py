"""What the documents tell a reader to type: commands and Python, in their order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

_STEP = re.compile(
    r"^```python\n(?P<python>.*?)^```$"
    r"|^```yaml\n(?P<yaml>.*?)^```$"
    r"|^ {4,}(?P<command>bcpnet (?:[^\n]*\\\n)*[^\n]*)$",
    re.DOTALL | re.MULTILINE,
)


class Step(NamedTuple):
    """One thing to do: "python", "yaml" or "command", and its text; a command without comment and line breaks."""

    kind: str
    text: str


def steps(document: Path) -> list[Step]:
    """Everything to do in a document, from top to bottom."""
    found = []
    for match in _STEP.finditer(document.read_text()):
        kind = str(match.lastgroup)
        text = match[kind]
        if kind == "command":
            text = re.sub(r"\\\n", " ", text)
        found.append(Step(kind, text))
    return found


def words(command: str) -> list[str]:
    """The arguments after `bcpnet`, as a shell gives them, with a recipe for RECIPE."""
    return ["camvid" if word == "RECIPE" else word for word in shlex.split(command, comments=True)[1:]]
