"""tools/make_wheels.py: its table, what its checks find, and (slow) the wheels themselves."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT
from tools_here import load_tool

pytest.importorskip("tomllib", reason="make wheels needs Python 3.11")
packaging_utils = pytest.importorskip("packaging.utils")
packaging_tags = pytest.importorskip("packaging.tags")

NATIVE = ROOT / "src" / "bcpnet" / "native"
LIBRARY = "bcpnet/native/_library.so"


@pytest.fixture(scope="module")
def tool() -> Any:
    """tools/make_wheels.py as a module."""
    return load_tool("make_wheels")


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Any:
    """tools/check_wheels.py, without the programs that it starts: they are not installed here."""
    module = load_tool("check_wheels")
    passed = subprocess.CompletedProcess((), 0, 'consistent with the following platform tag:\n"linux_x86_64"', "")
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: passed)
    return module


def test_every_source_of_the_library_is_named(tool: Any) -> None:
    """zig compiles what pyproject.toml names; what is missing there is missing in the source distribution, too."""
    extension = tool.native_extension()
    files = {path.relative_to(ROOT).as_posix() for kind in ("*.c", "*.h", "*.inc") for path in NATIVE.rglob(kind)}
    assert {*extension["sources"], *extension["depends"]} == files


def test_each_wheel_is_for_another_platform_and_for_every_python(tool: Any) -> None:
    names = []
    for platform in (*tool.PLATFORMS, tool.PURE):
        tags = ".".join(platform.tags or ("any",))
        names.append(packaging_utils.parse_wheel_filename(f"bcpnet-0.1.0-py3-none-{tags}.whl")[3])
    assert not any(a & b for i, a in enumerate(names) for b in names[i + 1 :])
    here = set(packaging_tags.sys_tags())
    assert tool.PURE.tags == ()
    assert names[-1] <= here
    for platform, tags in zip(tool.PLATFORMS, names, strict=False):
        arm = any("arm64" in tag.platform or "aarch64" in tag.platform for tag in tags)
        assert platform.target.startswith("aarch64-" if arm else "x86_64-")
        assert platform.library.endswith(".pyd" if "windows" in platform.target else ".so")


@pytest.mark.parametrize("tags", [("win_amd64",), ("manylinux_2_17_x86_64", "manylinux2014_x86_64"), ()])
def test_an_unpacked_wheel_says_what_it_is_for(tags: tuple[str, ...], tool: Any, tmp_path: Path) -> None:
    told = tmp_path / "bcpnet-0.1.0.dist-info" / "WHEEL"
    told.parent.mkdir()
    told.write_text("Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: false\nTag: cp311-cp311-linux_x86_64\n\n")
    tool.write_tags(tmp_path, tags)
    lines = told.read_text().splitlines()
    assert lines[:3] == ["Wheel-Version: 1.0", "Generator: x", f"Root-Is-Purelib: {'false' if tags else 'true'}"]
    assert lines[3:] == [f"Tag: py3-none-{tag}" for tag in tags or ("any",)]


def wheel(path: Path, changes: dict[str, bytes | None]) -> Path:
    """A wheel of the package as it lies in src/, with files changed or, where None, left out."""
    kept = [*(ROOT / "src" / "bcpnet").rglob("*.py"), ROOT / "src" / "bcpnet" / "py.typed"]
    kept += [ROOT / "src" / "bcpnet" / "weights" / f"{name}.onnx" for name in ("camvid", "camvid-int8")]
    content = {file.relative_to(ROOT / "src").as_posix(): file.read_bytes() for file in kept}
    content |= {"bcpnet-0.1.0.dist-info/licenses/LICENSE": b""}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**content, **changes}.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def elf(machine: bytes) -> bytes:
    return b"\x7fELF".ljust(18, b"\0") + machine + b"bcpnet_run"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, f"{LIBRARY} is missing"),
        ({LIBRARY: elf(b"\xb7\x00")}, "the library is for another machine"),
        ({LIBRARY: elf(b"\x3e\x00").removesuffix(b"run")}, "the library has no bcpnet_run"),
        ({LIBRARY: elf(b"\x3e\x00")}, None),
    ],
)
def test_a_library_for_the_machine_is_wanted(changes: Any, fault: str | None, check: Any, tmp_path: Path) -> None:
    path = wheel(tmp_path / "bcpnet-0.1.0-py3-none-manylinux_2_17_x86_64.whl", changes)
    check._audited = lambda _: []
    assert check.faults_of(path, "_library.so") == ([fault] if fault else [])


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({LIBRARY: elf(b"\x3e\x00")}, f"{LIBRARY} has no place in a wheel"),
        ({"bcpnet/native/rle.c": b""}, "bcpnet/native/rle.c has no place in a wheel"),
        ({"bcpnet/errors.py": b"other"}, "bcpnet/errors.py is not that of src/"),
        ({"bcpnet/errors.py": None}, "bcpnet/errors.py is missing"),
        ({"bcpnet/py.typed": None}, "bcpnet/py.typed is missing"),
        ({"tests/test_x.py": b""}, "tests/test_x.py is no part of the package"),
        ({"bcpnet-0.1.0.dist-info/licenses/LICENSE": None}, "the licence is missing"),
    ],
)
def test_a_pure_wheel_is_the_package_and_nothing_else(
    changes: Any, fault: str | None, check: Any, tmp_path: Path
) -> None:
    path = wheel(tmp_path / "bcpnet-0.1.0-py3-none-any.whl", changes)
    assert check.faults_of(path) == ([fault] if fault else [])


def test_auditwheel_has_to_agree_with_the_name(check: Any) -> None:
    assert check._audited(Path("bcpnet-0.1.0-py3-none-linux_x86_64.whl")) == []
    assert check._audited(Path("bcpnet-0.1.0-py3-none-manylinux_2_17_aarch64.whl")) == ["auditwheel: linux_x86_64"]


@pytest.mark.slow
def test_wheels_are_right_and_run_without_a_compiler(tmp_path: Path) -> None:
    """All of them, in the environment that `make wheels` makes; and twice the same."""
    python = ROOT / ".venv-wheels" / "bin" / "python"
    if not python.exists():
        pytest.skip("needs .venv-wheels: make wheels")
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        command = [str(python), "tools/make_wheels.py", str(folder)]
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
    rows = json.loads((folders[0] / "wheels.json").read_text())["rows"]
    ran = {row["platform"]: row["ran"] for row in rows if "ran" in row}
    assert ran["everything else"].startswith("onnxruntime, ")
    assert os.uname().machine != "x86_64" or ran["Linux, x86-64"].startswith("native (")
    for row in rows:
        first, second = (folder / row["file"] for folder in folders)
        assert first.suffix != ".whl" or first.read_bytes() == second.read_bytes()
