"""Memory that is used again: what the C library and PyTorch then do, each time in a process of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")

# Page faults of sixteen threads, one after another, that each allocate, write and free what one before them did.
FAULTS = """
import ctypes, resource, threading
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def work():
    block = ctypes.c_void_p(libc.malloc(32 << 20))
    ctypes.memset(block, 1, 32 << 20)
    libc.free(block)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(16):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
KEEP = "from bcpnet.training.memory import keep_memory\nprint(keep_memory())\n"
# 32 MiB are sixteen huge pages, or 8192; where nothing is given back, Python itself needs a page now and then.
FEW, MANY = 100, 16 * 16


def _said(script: str, **environment: str) -> list[str]:
    """What a Python of its own prints; of this one's environment, nothing about memory reaches it."""
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_TUNABLES", "THP_MEM_ALLOC_ENABLE"))
    }
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env={**known, **environment}
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@glibc
def test_what_is_freed_is_used_again() -> None:
    kept, faults = _said(KEEP + FAULTS)
    assert kept == "True"
    assert int(faults) < FEW
    (without,) = _said(FAULTS)
    assert int(without) >= MANY


@glibc
@pytest.mark.parametrize(("name", "value"), [("MALLOC_ARENA_MAX", "2"), ("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")])
def test_what_the_user_has_set_stays(name: str, value: str) -> None:
    kept, faults = _said(KEEP + FAULTS, **{name: value})
    assert kept == "False"
    assert int(faults) >= MANY


@glibc
def test_other_tunables_are_no_hindrance() -> None:
    assert _said(KEEP, GLIBC_TUNABLES="glibc.rtld.optional_static_tls=512") == ["True"]


@pytest.mark.parametrize(
    "elsewhere", ["import sys; sys.platform = 'darwin'", "import ctypes; ctypes.CDLL = lambda _: object()"]
)
def test_another_system_is_left_alone(elsewhere: str) -> None:
    assert _said(f"{elsewhere}\n{KEEP}") == ["False"]


def test_huge_pages_unless_the_user_says_no() -> None:
    ask = KEEP + "import os\nprint(os.environ['THP_MEM_ALLOC_ENABLE'])\n"
    assert _said(ask)[1] == "1"
    assert _said(ask, THP_MEM_ALLOC_ENABLE="0")[1] == "0"


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="no huge pages in this kernel")
def test_pytorch_asks_for_them() -> None:
    """It has heard: of the memory of a tensor the kernel says that huge pages are wanted."""
    script = """
import torch
kept = torch.zeros(64 << 20, dtype=torch.uint8)
print("hg" in open("/proc/self/smaps").read().split())
"""
    assert _said(KEEP + script)[1] == "True"
    assert _said(script) == ["False"]


def test_the_command_line_keeps_memory_before_pytorch_is_there(tmp_path: Path) -> None:
    script = f"""
import sys
from bcpnet.cli import main, train
def noted():
    print("torch" in sys.modules)
    sys.exit()
train.keep_memory = noted
main(["train", "streets", "--out", {str(tmp_path / "run")!r}])
"""
    assert _said(script) == ["False"]
