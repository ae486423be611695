"""The C library under AddressSanitizer and UBSan, on networks of every kind; its pool under ThreadSanitizer."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bcpnet.native

SOURCES = Path(bcpnet.native.__file__).parent
HERE = Path(__file__).parent
FLAGS = ["-std=gnu11", "-O1", "-g1", "-fno-math-errno", "-fno-trapping-math", "-pthread", "-fno-sanitize-recover=all"]
# GCC does not watch the masked loads and stores of AVX-512: that level is left out, and nothing asks for it.
LEVELS = ("avx2", "baseline") if platform.machine() in ("x86_64", "AMD64") else ("baseline",)
LEFT_OUT = """#include "kernels.h"
#include "int8/int8_kernels.h"
const Kernels kernels_avx512 = {.level = "left out"};
const Int8Kernels int8_kernels_avx512vnni = {.level = "left out"};
"""


def compiler(sanitizer: str) -> str:
    """GCC with that sanitizer's library, or a skip."""
    gcc = shutil.which("gcc")
    if gcc is None or sys.platform != "linux":
        pytest.skip("needs GCC on Linux")
    if not Path(runtime(gcc, sanitizer)).is_absolute():
        pytest.skip(f"GCC here has no lib{sanitizer}")
    return gcc


def runtime(gcc: str, name: str) -> str:
    asked = [gcc, f"-print-file-name=lib{name}.so"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The library under AddressSanitizer and UBSan, and the environment to load it in."""
    gcc = compiler("asan")
    folder = tmp_path_factory.mktemp("asan")
    (folder / "left_out.c").write_text(LEFT_OUT)
    sources = [path for path in sorted(SOURCES.rglob("*.c")) if "avx512" not in path.stem]
    building = []
    for source in [*sources, folder / "left_out.c"]:
        made = ["-o", str(folder / f"{source.stem}.o")]
        command = [gcc, "-c", "-fPIC", *FLAGS, "-fsanitize=address,undefined", f"-I{SOURCES}", str(source), *made]
        building.append(subprocess.Popen(command))
    assert [process.wait() for process in building] == [0] * len(building)
    library = folder / "library.so"
    objects = map(str, sorted(folder.glob("*.o")))
    subprocess.run(
        [gcc, "-shared", "-pthread", "-fsanitize=address,undefined", *objects, "-o", str(library)], check=True
    )
    preload = f"{runtime(gcc, 'asan')} {runtime(gcc, 'stdc++')}"
    options = "detect_leaks=0:detect_odr_violation=0"  # Python's own, and numpy's
    return library, {**os.environ, "LD_PRELOAD": preload, "ASAN_OPTIONS": options, "PYTHONMALLOC": "malloc"}


def run(watched: tuple[Path, dict[str, str]], *arguments: str) -> subprocess.CompletedProcess[str]:
    library, environment = watched
    command = [sys.executable, str(HERE / "sanitized_run.py"), str(library), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_read_or_written_elsewhere(level: str, watched: tuple[Path, dict[str, str]]) -> None:
    done = run(watched, level)
    assert "Sanitizer" not in done.stderr, done.stderr[:4000]
    assert "runtime error" not in done.stderr, done.stderr[:4000]
    assert done.returncode == 0, done.stderr[-2000:]
    accepted, refused = map(int, done.stdout.split())
    assert accepted > 5
    assert refused > 20


def test_the_sanitizer_would_see_it(watched: tuple[Path, dict[str, str]]) -> None:
    done = run(watched, "baseline", "--tensors-too-small")
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr


def test_the_pool_has_no_races(tmp_path: Path) -> None:
    gcc = compiler("tsan")
    program = str(tmp_path / "pool")
    sources = [str(SOURCES / "engine.c"), str(HERE / "pool_driver.c")]
    subprocess.run([gcc, *FLAGS, "-fsanitize=thread", f"-I{SOURCES}", *sources, "-o", program], check=True)
    # ThreadSanitizer wants its memory where address space randomisation may have put something else.
    setarch = shutil.which("setarch")
    command = [setarch, platform.machine(), "-R", program] if setarch else [program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unexpected memory mapping" in done.stderr or "failed to set personality" in done.stderr:
        pytest.skip("ThreadSanitizer does not start in this address space")
    assert "WARNING: ThreadSanitizer" not in done.stderr, done.stderr[:4000]
    assert done.returncode == 0
