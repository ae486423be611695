"""A small part of the fuzzer of requests, and that it would notice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

for package in ("starlette", "uvicorn", "multipart", "httpx"):
    pytest.importorskip(package, reason="the service needs the extra [serve]")
SCRIPT = Path(__file__).with_name("bodies.py")


def test_a_few() -> None:
    command = [sys.executable, SCRIPT, "--count", "200", "--seed", "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    counts = json.loads(run.stdout)
    assert (counts["requests"], counts["faults"]) == (200, 0)
    assert counts["statuses"]["200"] > 20
    assert counts["statuses"]["422"] > 20
    assert counts["statuses"]["400"] > 20


def test_it_would_notice() -> None:
    code = (
        f"import sys, runpy; sys.path.insert(0, {str(SCRIPT.parent)!r}); sys.argv = ['bodies.py', '--count', '40']\n"
        "import bcpnet.serving.uploads as uploads; parts = uploads._parts\n"
        "uploads._parts = lambda body, *rest: parts(body, *rest)[1:] + [1 // (b'a' not in body)]\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "status 500" in run.stderr
