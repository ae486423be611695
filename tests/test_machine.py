"""The machine's description: complete, JSON, and without names that identify it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
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


@dataclass
class Groups:
    """A made-up /proc/self and the control groups that it tells of."""

    folder: Path

    def tell(self, cgroup: str, mountinfo: str) -> None:
        (self.folder / "cgroup").write_text(cgroup)
        (self.folder / "mountinfo").write_text(mountinfo.replace("{}", str(self.folder).replace(" ", r"\040")))

    def grant(self, path: str, **files: str) -> None:
        group = self.folder / path
        group.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (group / name.replace("__", ".")).write_text(text + "\n")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    (tmp_path / "own self").mkdir()
    monkeypatch.setattr(machine, "_OWN", tmp_path / "own self")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return Groups(tmp_path / "own self")


V2 = ("0::/a/b/c\n", "41 31 0:38 / {}/v2 rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n")
V1 = (
    "4:memory:/elsewhere\n1:cpu,cpuacct:/a/b\n0::/\n",
    "32 31 0:29 / {}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n33 31 0:30 / {}/memory rw - cgroup cgroup rw,memory\n",
)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 16), ("100000 100000", 1), ("50000 100000", 1), ("250000 100000", 2), ("20000 10000", 2),
     ("9900000 100000", 16), ("odd", 16)],
)  # fmt: skip
def test_a_quota_of_cgroup_v2_counts(quota: str, cores: int, groups: Groups) -> None:
    groups.tell(*V2)
    groups.grant("v2/a/b/c", cpu__max=quota)
    assert machine.usable_cores() == cores


@pytest.mark.parametrize(("quota_us", "cores"), [("-1", 16), ("100000", 2), ("10000", 1), ("175000", 3), ("0", 16)])
def test_a_quota_of_cgroup_v1_counts(quota_us: str, cores: int, groups: Groups) -> None:
    groups.tell(*V1)
    groups.grant("cpu/a/b", cpu__cfs_quota_us=quota_us, cpu__cfs_period_us="50000")
    groups.grant("memory/a/b", cpu__cfs_quota_us="1", cpu__cfs_period_us="50000")  # another hierarchy
    assert machine.usable_cores() == cores


def test_the_tightest_of_nested_groups_and_the_affinity_counts(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    groups.tell(V1[0].replace("0::/\n", "") + V2[0], V1[1] + V2[1])  # both versions at once, as systemd's hybrid has it
    assert machine.usable_cores() == 16
    groups.grant("v2/a/b/c", cpu__max="800000 100000")
    assert machine.usable_cores() == 8
    groups.grant("v2/a", cpu__max="500000 100000")  # of the group around the group around it
    assert machine.usable_cores() == 5
    groups.grant("cpu/a", cpu__cfs_quota_us="400000", cpu__cfs_period_us="100000")
    assert machine.usable_cores() == 4
    groups.grant("v2/a/other", cpu__max="100000 100000")  # a neighbour's
    assert machine.usable_cores() == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 9})
    assert machine.usable_cores() == 3


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("/docker/4f1", "/docker/4f1"),  # Docker with v1: the host's path, its own group mounted
        ("/docker/4f1", "/"),
        ("/docker", "/docker/4f1"),
        ("/", "/../../4f1"),  # moved out of its namespace
        ("/docker/4f1", "/docker/4f11"),
    ],
)
def test_a_container_sees_its_group_at_the_mount(root: str, path: str, groups: Groups) -> None:
    groups.tell(f"0::{path}\n", f"41 31 0:38 {root} {{}}/v2 rw - cgroup2 cgroup2 rw\n")
    groups.grant("v2", cpu__max="300000 100000")
    assert machine.usable_cores() == 3


def test_no_control_groups_are_no_error(groups: Groups) -> None:
    assert machine.usable_cores() == 16  # no files at all: not Linux
    groups.tell(*V2)
    assert machine.usable_cores() == 16


def test_runtimes_choose_for_themselves_only_where_nothing_is_limited(
    groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine.default_threads() is None
    groups.tell(*V2)
    groups.grant("v2/a", cpu__max="400000 100000")
    assert machine.default_threads() == 4
    for named, threads in (("2", 2), ("8", 4), ("0", 4), ("4,2", 4), ("", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", named)
        assert machine.default_threads() == threads
