"""Tests the base install with each Python here, with the lowest and the highest versions that pyproject.toml allows.

    python tools/test_matrix.py [PYTHON ...]

PYTHON is an interpreter, by default python3.10 to python3.14 where they are on the PATH or among pyenv's versions. Each
gets two environments under build/matrix: uv resolves them, and takes no source packages. The tests are those that need
no PyTorch. Writes results/test-matrix.json; exit code 1 if a row failed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bcpnet.machine import describe_machine
from bcpnet.storage.files import write_bytes

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "results" / "test-matrix.json"
ENVIRONMENTS = REPOSITORY / "build" / "matrix"
MINORS = range(10, 15)
RESOLUTIONS = ("lowest-direct", "highest")
# What the tests themselves import, in versions that go with those of bcpnet.
TOOLS = (
    "fastjsonschema",
    "fonttools",
    "hypothesis",
    "onnx",
    "opencv-python-headless",
    "pycocotools",
    "pytest",
    "scipy",
)
TESTS = ("media", "prediction", "drawing", "frames", "regions", "weights", "storage", "fuzz")


def main(pythons: Sequence[str]) -> int:
    """A row for each Python and resolution; returns the exit code."""
    pythons = pythons or [path for minor in MINORS if (path := find(minor))]
    rows = [row(python, resolution) for python in pythons for resolution in RESOLUTIONS]
    command = "python tools/test_matrix.py"
    content = {"command": command, "rows": rows, "machine": describe_machine()}
    write_bytes(RESULTS, (json.dumps(content, indent=2) + "\n").encode())
    return int(not rows or any(not row["passed"] for row in rows))


def find(minor: int) -> str | None:
    """python3.MINOR: on the PATH if it runs (pyenv's stand-ins may not), else among pyenv's versions."""
    name = f"python3.{minor}"
    found = [shutil.which(name), *map(str, Path.home().glob(f".pyenv/versions/*/bin/{name}"))]
    return next(
        (path for path in found if path and subprocess.run([path, "-c", ""], check=False).returncode == 0), None
    )


def row(python: str, resolution: str) -> dict[str, Any]:
    """Makes an environment, installs, tests; what was installed and how it ended."""
    version = output(python, "-c", "import platform; print(platform.python_version())")
    folder = ENVIRONMENTS / f"{version}-{resolution}"
    print(f"== Python {version}, {resolution}", flush=True)
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    inside = str(folder / "bin" / "python")
    # Only bcpnet itself is built here: what has no wheel for a Python is no choice for its users.
    wheels = ("--only-binary", ":all:", "--no-binary", "bcpnet")
    install = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", inside, *wheels)
    subprocess.run([*install, "--resolution", resolution, str(REPOSITORY)], check=True)
    versions = json.loads(output(inside, "-m", "pip", "list", "--format", "json"))
    pins = {each["name"]: each["version"] for each in versions if each["name"] not in ("bcpnet", "pip", "setuptools")}
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={pinned}\n" for name, pinned in pins.items()))
    subprocess.run([*install, "--constraint", str(constraints), *TOOLS], check=True)
    tests = [f"tests/{name}" for name in TESTS]
    command = [inside, "-m", "pytest", "-p", "no:cacheprovider", *tests]
    ran = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    print(ran.stdout[-3000:], flush=True)
    return {
        "python": version,
        "resolution": resolution,
        "versions": pins,
        "passed": ran.returncode == 0,
        "told": ran.stdout.strip().splitlines()[-1],
        "seconds": round(time.monotonic() - began),
    }


def output(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
