"""The machine's description: complete, JSON, and without names that identify it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bcpnet import machine

X86 = """\
processor\t: 0
model name\t: Example CPU @ 2.60GHz
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni

processor\t: 1
model name\t: Example CPU @ 2.60GHz
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni

processor\t: 2
model name\t: Example CPU @ 2.60GHz
physical id\t: 0
core id\t\t: 1
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni

"""
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nCPU implementer\t: 0x41\n\n"


def described(monkeypatch: pytest.MonkeyPatch, path: Path, text: str) -> dict[str, object]:
    path.write_text(text)
    monkeypatch.setattr(machine, "_CPUINFO", path)
    return machine.describe_machine()


def test_hyperthreads_are_not_physical_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = described(monkeypatch, tmp_path / "cpuinfo", X86)
    assert found["cpu"] == "Example CPU @ 2.60GHz"
    assert found["physical_cores"] == 2
    assert found["isa"] == ["avx2", "avx512f", "avx512_vnni"]


def test_arm_tells_less_and_that_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = described(monkeypatch, tmp_path / "cpuinfo", ARM)
    assert found["isa"] == ["asimd", "asimddp", "i8mm"]
    assert found["physical_cores"] is None


def test_a_system_without_cpuinfo_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "none")
    found = machine.describe_machine()
    assert (found["physical_cores"], found["isa"]) == (None, [])


def test_json_with_versions_and_an_utc_date() -> None:
    found = json.loads(json.dumps(machine.describe_machine()))
    assert found["python"] == platform.python_version()
    assert {"numpy", "pillow", "onnxruntime", "av"} <= set(found["packages"])
    age = datetime.now(timezone.utc) - datetime.fromisoformat(found["date"])
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert 1 <= found["usable_cores"] <= found["logical_cores"]


def test_names_neither_host_nor_path() -> None:
    text = json.dumps(machine.describe_machine())
    assert str(Path(machine.__file__).parent) not in text
    assert str(Path.home()) not in text
    for part in text.split('"'):
        assert part != platform.node()
        assert not part.startswith(os.sep)


def test_the_commit_is_that_of_the_checkout_and_none_without_one(tmp_path: Path) -> None:
    checkout = Path(machine.__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        pytest.skip("not a git checkout")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout.strip()
    commit = machine.describe_machine()["commit"]
    assert head.startswith(commit.removesuffix("-dirty"))
    assert machine._git_commit(tmp_path) is None


def test_imports_none_of_the_packages_it_names() -> None:
    code = (
        "import sys; from bcpnet.machine import describe_machine; describe_machine();"
        "print({'numpy', 'torch', 'onnxruntime', 'openvino', 'av', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
