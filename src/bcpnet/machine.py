"""What a figure was measured on: processor, memory, versions, date. Names neither the host nor any path."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from bcpnet.errors import UsageError

_CPUINFO = Path("/proc/cpuinfo")
_MOST_THREADS = 1024

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
        cpu (model name), physical_cores, logical_cores, usable_cores (those this process may run on),
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
    """How many logical cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_threads(threads: int | None) -> None:
    """Raises UsageError for a number of threads that cannot be meant; None leaves it to a runtime."""
    if threads is not None and not 1 <= threads <= _MOST_THREADS:
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
