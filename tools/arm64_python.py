"""Debian's Python for 64-bit Arm, and musl's library, under qemu-user; for tools/make_wheels.py.

apt fetches them into a folder of its own: nothing is installed on this machine. Needs Debian or Ubuntu, and
qemu-aarch64 (apt install qemu-user-static).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "musl")
SETTINGS = """APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Sandbox::User "root";
Debug::NoLocking "1";
Dir::State::Lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
"""


def arm64_emulator(folder: Path) -> list[str] | None:
    """The command that starts a program, which finds Debian's libraries; None without qemu or apt.

    Args:
        folder: where they lie, or are fetched to.

    Raises:
        CalledProcessError: They cannot be fetched.
    """
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if not (qemu and shutil.which("apt-get") and shutil.which("dpkg")):
        return None
    root = folder.resolve() / "root"
    if not root.exists():
        _fetch(folder.resolve())
    return [qemu, "-L", str(root)]


def arm64_python(folder: Path) -> list[str] | None:
    """The command that starts Python; otherwise as `arm64_emulator`."""
    emulator = arm64_emulator(folder)
    if emulator is None:
        return None
    (program,) = (folder.resolve() / "root").glob("usr/bin/python3.[0-9]*[0-9]")
    return [*emulator, str(program)]


def _fetch(folder: Path) -> None:
    for each in ("lists/partial", "cache/archives/partial"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "apt.conf").write_text(SETTINGS.format(folder=folder))
    install = ("-y", "--no-install-recommends", "--download-only", "install", *PACKAGES)
    for command in (("update",), install):
        subprocess.run(
            ("apt-get", "-qq", *command), env={**os.environ, "APT_CONFIG": str(folder / "apt.conf")}, check=True
        )
    unpacked = folder / "unpacked"
    for package in sorted((folder / "cache" / "archives").glob("*.deb")):
        subprocess.run(("dpkg", "-x", str(package), str(unpacked)), check=True)
    unpacked.rename(folder / "root")
