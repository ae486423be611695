"""What a figure was measured on: processor, memory, versions, date. Names neither the host nor any path."""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from importlib import metadata
from numbers import Integral
from pathlib import Path
from typing import Any

from bcpnet.errors import UsageError

_CPUINFO = Path("/proc/cpuinfo")
_OWN = Path("/proc/self")
_MOST_THREADS = 1024
NO_MORE_THREADS = (
    "cannot start another thread: the limit on processes and threads is reached; raise it (ulimit -u, a container's "
    "pids limit) or end other programs"
)

# Distributions whose versions change speed or results.
_PACKAGES = ("bcpnet", "numpy", "pillow", "av", "onnxruntime", "openvino", "torch")

# Instruction sets that the runtimes pick their kernels by: x86, then Arm, as the Linux kernel spells them.
_ISA = (
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile",
    "amx_int8", "amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip


def describe_machine() -> dict[str, Any]:
    """The machine and the versions, ready for JSON. Imports none of the packages it names.

    Returns:
        cpu (model name), physical_cores, logical_cores, usable_cores (those this process may keep busy),
        isa (list), gpus (name and driver of each of NVIDIA's), memory_gib, os, python, packages (name -> version of
        bcpnet and those installed), commit (git, with "-dirty" for a changed tree), date (ISO 8601, UTC). What
        cannot be found is None.
    """
    return {
        **describe_processor(),
        "gpus": describe_gpus(),
        "memory_gib": _memory_gib(),
        "os": _operating_system(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "commit": _git_commit(Path(__file__).resolve().parents[2]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def describe_processor() -> dict[str, Any]:
    """The part of `describe_machine` that is about the processor."""
    cpu = _read_cpuinfo()
    return {
        "cpu": cpu.get("model name") or platform.processor() or None,
        "physical_cores": cpu.get("physical_cores"),
        "logical_cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "isa": [name for name in _ISA if name in cpu.get("flags", ())],
    }


def package_versions() -> dict[str, str]:
    """Version by name: bcpnet, and what is installed of the packages that matter for speed or results."""
    return {name: version for name in _PACKAGES if (version := _version(name))}


def usable_cores() -> int:
    """How many logical cores this process may keep busy: its CPU affinity, and what a container's CPU quota grants.

    A quota of 2.5 CPUs counts as 2, one below 1 as 1: a third thread would make the others wait.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.floor(min(_quotas(), default=cores))))


def default_threads() -> int | None:
    """Threads for a runtime that was told no number; None = its own choice, where all cores are this process's.

    Runtimes count the machine's cores, and few of them heed a quota. OMP_NUM_THREADS counts where it is lower.
    """
    cores = usable_cores()
    if cores == os.cpu_count():
        return None
    named = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(named)) if named.isdecimal() and int(named) else cores


def check_threads(threads: int | None) -> None:
    """Raises UsageError for a number of threads that cannot be meant; None leaves it to a runtime."""
    if threads is not None and not (isinstance(threads, Integral) and 1 <= threads <= _MOST_THREADS):
        raise UsageError(f"{threads} threads: need at least 1 and at most {_MOST_THREADS}")


def describe_gpus() -> list[str]:
    """Name and driver of each NVIDIA card, as nvidia-smi tells; empty without it."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()


def _read_cpuinfo() -> dict[str, Any]:
    """Model name, flags and number of physical cores as Linux tells them; empty on other systems."""
    if not _CPUINFO.is_file():
        return {}
    cpu: dict[str, Any] = {}
    cores = set()
    for processor in _CPUINFO.read_text().split("\n\n"):
        pairs = (line.partition(":") for line in processor.splitlines())
        entry = {key.strip(): value.strip() for key, _, value in pairs}
        cpu.setdefault("model name", entry.get("model name"))
        flags = entry.get("flags") or entry.get("Features")  # x86, Arm
        if flags:
            cpu.setdefault("flags", flags.split())
        if "core id" in entry:
            cores.add((entry.get("physical id"), entry["core id"]))
    cpu["physical_cores"] = len(cores) or None
    return cpu


def _quotas() -> Iterator[float]:
    """CPUs that each control group grants, of this process's own up to the outermost that can be seen: v1 and v2."""
    try:
        groups = [line.split(":", 2) for line in (_OWN / "cgroup").read_text().splitlines()]
        mounts = (_OWN / "mountinfo").read_text().splitlines()
    except OSError:
        return  # not Linux
    for mount in mounts:
        before, _, after = mount.partition(" - ")
        _, _, _, root, place, *_ = before.split(" ")
        kind, _, options = after.split(" ", 2)
        for _, controllers, path in groups:
            is_v2 = kind == "cgroup2" and not controllers
            if is_v2 or (kind == "cgroup" and "cpu" in controllers.split(",") and "cpu" in options.split(",")):
                yield from _quotas_above(Path(_unescaped(place)), _unescaped(root), path)


def _quotas_above(place: Path, root: str, path: str) -> Iterator[float]:
    """Those of group `path` and its parents, in a hierarchy of which the part below `root` is mounted at `place`."""
    inside = path.removeprefix(root.rstrip("/")) if Path(path).is_relative_to(root) else ""
    parts = [part for part in inside.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        group = place.joinpath(*parts[:depth])
        with suppress(OSError, ValueError, ZeroDivisionError):  # no quota, no such group in this mount
            quota, period = (group / "cpu.max").read_text().split()
            yield int(quota) / int(period)  # ValueError for "max"
        with suppress(OSError, ZeroDivisionError):
            quota_us = int((group / "cpu.cfs_quota_us").read_text())
            if quota_us > 0:
                yield quota_us / int((group / "cpu.cfs_period_us").read_text())


def _unescaped(name: str) -> str:
    """Of /proc/self/mountinfo, where a space is \\040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), name)


def _memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None  # Windows
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def _operating_system() -> str:
    kind = f"{platform.system()} {platform.machine()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kind}"
    except (OSError, KeyError):
        return kind


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_commit(checkout: Path) -> str | None:
    """The commit of a source checkout; None for an installed package, or without git."""
    if not (checkout / ".git").exists():
        return None
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(describe, cwd=checkout, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
