"""tools/test_matrix.py: which Pythons it finds, what it writes, and that its environments hold what its tests need."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT
from tools_here import load_tool

TOOL = load_tool("test_matrix")
SCRIPTS = {"bodies.py"}  # run as processes, by tests that skip without what they import
NAMES = {"opencv-python-headless": "cv2", "pyyaml": "yaml", "pillow": "PIL", "fonttools": "fontTools"}


def row(python: str, resolution: str) -> dict[str, Any]:
    return {"python": python, "resolution": resolution, "passed": (python, resolution) != ("b", "highest")}


@pytest.mark.parametrize(("pythons", "code"), [(["a"], 0), (["a", "b"], 1)])
def test_a_row_for_each_python_and_resolution(
    pythons: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TOOL, "RESULTS", tmp_path / "matrix.json")
    monkeypatch.setattr(TOOL, "row", row)
    assert TOOL.main(pythons) == code
    written = json.loads((tmp_path / "matrix.json").read_text())
    assert written["rows"] == [row(python, each) for python in pythons for each in TOOL.RESOLUTIONS]
    assert written["machine"]["python"]


def test_no_python_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TOOL, "RESULTS", tmp_path / "matrix.json")
    monkeypatch.setattr(TOOL, "find", lambda _: None)
    assert TOOL.main([]) == 1


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
def test_a_python_that_does_not_run_is_passed_over_for_one_of_pyenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("path", "home"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert TOOL.find(99) is None
    script(tmp_path / "path" / "python3.99", "/bin/false")
    assert TOOL.find(99) is None
    own = script(tmp_path / "home" / ".pyenv" / "versions" / "3.99.1" / "bin" / "python3.99", sys.executable)
    assert TOOL.find(99) == str(own)
    script(tmp_path / "path" / "python3.99", sys.executable)
    assert TOOL.find(99) == str(tmp_path / "path" / "python3.99")


def script(path: Path, program: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    path.chmod(0o755)
    return path


def test_output_is_what_a_command_prints() -> None:
    assert TOOL.output(sys.executable, "-c", "print(' x ')") == "x"
    with pytest.raises(subprocess.CalledProcessError):
        TOOL.output(sys.executable, "-c", "raise SystemExit(1)")


def test_its_environments_have_all_that_its_tests_import_at_once() -> None:
    """What else they import they ask for with `importorskip`."""
    text = (ROOT / "pyproject.toml").read_text()
    block = text.partition("\ndependencies = [")[2].partition("]")[0]
    base = re.findall(r'"([a-z0-9-]+)>=', block)
    assert "numpy" in base
    here = {path.stem for path in (ROOT / "tests").iterdir()} | {"bcpnet"}
    known = here | set(sys.stdlib_module_names) | {NAMES.get(name, name) for name in (*base, *TOOL.TOOLS)}
    for folder in TOOL.TESTS:
        files = [path for path in (ROOT / "tests" / folder).glob("*.py") if path.name not in SCRIPTS]
        assert files, folder
        for path in files:
            beside = {each.stem for each in path.parent.glob("*.py")}
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                names = (
                    [alias.name for alias in node.names] if isinstance(node, ast.Import)
                    else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                )  # fmt: skip
                assert {name.partition(".")[0] for name in names} <= known | beside, path
