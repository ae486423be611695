"""What is wrong with a wheel or source distribution, without running it; for tools/make_wheels.py."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
NEEDED = ("bcpnet/py.typed", "bcpnet/weights/camvid.onnx", "bcpnet/weights/camvid-int8.onnx")
NATIVE = "bcpnet/native/"
# What a library starts with, or has where the number says, by the end of the wheel's name.
ELF, MACH_O = b"\x7fELF", b"\xcf\xfa\xed\xfe"
X86_64, AARCH64 = b"\x3e\x00", b"\xb7\x00"
MACHINES = {
    "linux_1_2_x86_64": (ELF, 18, X86_64),
    "linux_1_2_aarch64": (ELF, 18, AARCH64),
    "linux_2_17_x86_64": (ELF, 18, X86_64),
    "linux_2_17_aarch64": (ELF, 18, AARCH64),
    "macosx_11_0_x86_64": (MACH_O, 4, b"\x07\x00\x00\x01"),
    "macosx_11_0_arm64": (MACH_O, 4, b"\x0c\x00\x00\x01"),
    "win_amd64": (b"MZ", None, b"PE\x00\x00\x64\x86"),
    "win_arm64": (b"MZ", None, b"PE\x00\x00\x64\xaa"),
}


def faults_of(path: Path, library: str | None = None) -> list[str]:
    """One line for each thing that is wrong: with a wheel that is to have this library, or none; with an sdist."""
    faults = []
    twine = subprocess.run(
        (sys.executable, "-m", "twine", "check", "--strict", str(path)), capture_output=True, text=True, check=False
    )
    if twine.returncode:
        faults.append(f"twine: {twine.stdout.strip()}")
    if path.suffix != ".whl":
        return faults + _faults_of_sdist(path)
    if "linux_" in path.name:
        faults += _audited(path)
    with zipfile.ZipFile(path) as archive:
        return faults + _faults_of_content(archive, f"{NATIVE}{library}" if library else None, path.stem)


def _audited(wheel: Path) -> list[str]:
    """auditwheel says for which Linux a wheel is; its own name has to be among it."""
    nowhere = ("--ldpaths", "/nonexistent")  # this system's own libraries are not those of the wheel's
    audit = subprocess.run(
        (sys.executable, "-m", "auditwheel", "show", *nowhere, str(wheel)), capture_output=True, text=True, check=False
    )
    fits = re.search(r'consistent\s+with\s+the\s+following\s+platform\s+tag:\s+"(\w+)"', audit.stdout)
    found = fits[1] if fits else audit.stderr.strip() or audit.stdout.strip()
    return [] if found in wheel.name else [f"auditwheel: {found}"]


def _faults_of_content(archive: zipfile.ZipFile, library: str | None, name: str) -> list[str]:
    faults = []
    told = {each for each in archive.namelist() if not each.endswith("/")}
    package = {each for each in told if each.startswith("bcpnet/")}
    for each in sorted(told - package):
        if not re.match(r"bcpnet-[^/]+\.dist-info/", each):
            faults.append(f"{each} is no part of the package")
    for each in sorted(package - {library}):
        source = SOURCE / each
        if "__pycache__" in each or source.suffix in (".c", ".h", ".inc", ".so", ".pyd"):
            faults.append(f"{each} has no place in a wheel")
        elif not source.is_file() or source.read_bytes() != archive.read(each):
            faults.append(f"{each} is not that of src/")
    modules = {path.relative_to(SOURCE).as_posix() for path in (SOURCE / "bcpnet").rglob("*.py")}
    licences = {each for each in told if each.endswith(".dist-info/licenses/LICENSE")}
    missing = {*modules, *NEEDED, *([library] if library else [])} - told
    faults += [f"{each} is missing" for each in sorted(missing)] + ([] if licences else ["the licence is missing"])
    if library in told:
        faults += _faults_of_library(archive.read(str(library)), name)
    return faults


def _faults_of_library(library: bytes, name: str) -> list[str]:
    (start, at, machine) = next(made for end, made in MACHINES.items() if end in name)
    at = int.from_bytes(library[60:64], "little") if at is None else at
    is_for_it = library.startswith(start) and library[at:].startswith(machine)
    faults = [] if is_for_it else ["the library is for another machine"]
    return faults if b"bcpnet_run" in library else [*faults, "the library has no bcpnet_run"]


def _faults_of_sdist(path: Path) -> list[str]:
    """What the package is compiled from, and all else of it, lies in it."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "README.md", "LICENSE", *(f"src/{each}" for each in NEEDED)}
    for kind in ("*.py", "*.c", "*.h", "*.inc"):
        needed |= {f"src/{file.relative_to(SOURCE).as_posix()}" for file in (SOURCE / "bcpnet").rglob(kind)}
    return [f"{each} is missing" for each in sorted(needed - names)]
