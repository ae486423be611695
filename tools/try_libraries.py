"""Runs the C library of a wheel where there is no Python: under musl's loader, qemu-user or Wine; for make_wheels.py.

Needs, on Debian or Ubuntu: apt install musl qemu-user-static wine64.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from arm64_python import arm64_emulator

REPOSITORY = Path(__file__).resolve().parents[1]
TESTS = "tests/native/test_wheel_libraries.py"


def try_library(library: Path, target: str, fetched: Path) -> tuple[str, list[str]]:
    """What was run, or that nothing was; and what was wrong.

    Args:
        library: the compiled library.
        target: what it was compiled for, as zig spells it.
        fetched: folder for musl's library for 64-bit Arm.
    """
    name, runner = _runner(target, fetched)
    if not runner:
        return "not run", []
    told = {"LIBRARY": str(library), "TARGET": target, "RUNNER": " ".join(runner)}
    ran = subprocess.run(
        (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", TESTS),
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", **{f"BCPNET_WHEEL_{each}": value for each, value in told.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    last = (ran.stdout.strip().splitlines() or [""])[-1].partition(" in ")[0]
    return f"the library alone, {name}: {last}", [] if ran.returncode == 0 else [ran.stdout[-2000:]]


def _runner(target: str, fetched: Path) -> tuple[str, list[str]]:
    """What starts a program for such a machine, in words and as a command; an empty one where there is none."""
    if target == "x86_64-linux-musl":
        loader = shutil.which("/lib/ld-musl-x86_64.so.1")
        return "under musl's loader", [loader] if loader else []
    if target == "aarch64-linux-musl":
        return "under qemu-user with musl", arm64_emulator(fetched / "arm64") or []
    if target == "x86_64-windows-gnu":
        wine = shutil.which("wine64") or shutil.which("/usr/lib/wine/wine64")
        return "under Wine", [wine] if wine else []
    return "", []
