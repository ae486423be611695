"""Installs a wheel where there is no compiler, and segments the demo clip with it; for tools/make_wheels.py.

A wheel for this machine gets an environment of its own, in which the tests of the base install run, too; one for 64-bit
Arm runs in Debian's Python for it, under qemu-user. Both lie outside the repository. The class maps are compared with
those of the checkout.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from arm64_python import arm64_python
from PIL import Image
from test_matrix import TESTS, TOOLS

REPOSITORY = Path(__file__).resolve().parents[1]
CLIP = REPOSITORY / "examples" / "streets.mp4"
EVERY = 40  # of its frames, one is compared
CONSTRAINTS = ("-c", str(REPOSITORY / "constraints.txt"))
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", *CONSTRAINTS)
FOR_ARM = ("--python-version", "3.11", *(f"--platform=manylinux_2_{glibc}_aarch64" for glibc in (17, 26, 27, 28)))
PROBE = """
import json, bcpnet
from bcpnet.native import library
at = library()
levels = [at.bcpnet_level(at.bcpnet_kernels(None)), at.bcpnet_int8_level(at.bcpnet_int8_kernels(None))] if at else []
levels = [each.decode() for each in levels]
print(json.dumps({"file": bcpnet.__file__, "backend": bcpnet.load("camvid").backend.name, "levels": levels}))
"""


class Python(NamedTuple):
    """A Python that has bcpnet: the command that starts it, its environment, and where it runs."""

    command: tuple[str, ...]
    variables: dict[str, str]
    folder: Path

    def run(self, *arguments: str) -> str:
        """What it prints. Raises RuntimeError where it fails."""
        ran = subprocess.run(
            (*self.command, *arguments),
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(
                f"python {' '.join(arguments[:3])}: {(ran.stderr.strip() or ran.stdout.strip())[-1000:]}"
            )
        return ran.stdout

    def probe(self) -> dict[str, Any]:
        """Where its bcpnet lies, the backend of camvid, and the levels of the C library."""
        return dict(json.loads(self.run("-c", PROBE).splitlines()[-1]))

    def class_maps(self, pictures: Path, weights: str, backend: str) -> Any:
        """Those of a folder of pictures, by the command that users type."""
        out = self.folder / weights
        options = ("--save", "classmap", "--threads", "1", "--backend", backend)
        self.run("-m", "bcpnet", "predict", str(pictures), "--weights", weights, "--out", str(out), *options)
        return np.stack([np.asarray(Image.open(path)) for path in sorted(out.rglob("*.png"))])


def _save_stills(folder: Path) -> Path:
    """Frames of the demo clip as pictures: video decoders of different CPUs round colours differently."""
    folder.mkdir()
    with av.open(CLIP) as video:
        for number, frame in enumerate(video.decode(video=0)):
            if number % EVERY == 0:
                frame.to_image().save(folder / f"{number:06d}.png")
    return folder


def try_wheel(wheel: Path, target: str, fetched: Path) -> tuple[str, list[str]]:
    """What was run, or that nothing was; and what was wrong.

    Args:
        wheel: the file.
        target: what its library was compiled for, as zig spells it; "" where it has none.
        fetched: folder for Debian's Python.
    """
    here = f"{platform.machine()}-{platform.system().lower()}-gnu"
    with tempfile.TemporaryDirectory() as folder:
        try:
            if not target or target.startswith(here):
                python = _bare_python(wheel, Path(folder))
                ran, wrong = _compared(python, bool(target), 1.0)
                return f"{ran}; {_tested(python)}", wrong
            emulated = arm64_python(fetched / "arm64") if target.startswith("aarch64-linux-gnu") else None
            if emulated:
                ran, wrong = _compared(_emulated_python(wheel, emulated, Path(folder)), True, 0.999)
                return f"under qemu-user: {ran}", wrong
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            return "failed", [str(error)]
    return "not run", []


def _bare_python(wheel: Path, folder: Path) -> Python:
    """With the wheel and what it needs, all from wheels; its PATH knows no compiler."""
    subprocess.run((sys.executable, "-m", "venv", str(folder / "venv")), check=True)
    programs = folder / "venv" / "bin"
    variables = {"PATH": str(programs), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    python = Python((str(programs / "python"),), variables, folder)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    Python(python.command, variables | kept, folder).run(*PIP, str(wheel))
    return python


def _tested(python: Python) -> str:
    """What pytest says of the tests of the base install, in a folder where there are no sources."""
    for name in ("tests", "examples"):
        shutil.copytree(REPOSITORY / name, python.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", python.folder)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    Python(python.command, python.variables | kept, python.folder).run(*PIP, *TOOLS)
    told = python.run("-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow", *(f"tests/{name}" for name in TESTS))
    return f"tests: {told.strip().splitlines()[-1].strip('= ')}"


def _emulated_python(wheel: Path, command: list[str], folder: Path) -> Python:
    subprocess.run((sys.executable, *PIP, *FOR_ARM, "--target", str(folder / "site"), str(wheel)), check=True)
    variables = {"PYTHONPATH": str(folder / "site"), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    return Python(tuple(command), variables, folder)


def _compared(python: Python, has_library: bool, least: float) -> tuple[str, list[str]]:
    """Which backend ran, and how many pixels are as in the checkout: at least so many, of 8 bits all."""
    found, wrong = python.probe(), []
    backend = "native" if has_library else "onnxruntime"
    if not str(found["file"]).startswith(str(python.folder)) or found["backend"] != backend:
        wrong.append(f"expected {backend} in {python.folder}, found {found}")
    checkout = Python((sys.executable,), {**os.environ, "OMP_NUM_THREADS": "1"}, python.folder / "checkout")
    checkout.folder.mkdir()
    if least == 1.0 and has_library and checkout.probe()["levels"] != found["levels"]:
        wrong.append(f"kernels of the levels {found['levels']}; in the checkout {checkout.probe()['levels']}")
    python.run("-m", "bcpnet", "predict", str(CLIP), "--every", str(EVERY), "--out", str(python.folder / "demo"))
    pictures, told = _save_stills(python.folder / "stills"), []
    for weights, enough in (("camvid", least), ("camvid-int8", 1.0)):
        maps, expected = (each.class_maps(pictures, weights, backend) for each in (python, checkout))
        same = float((maps == expected).mean()) if maps.shape == expected.shape else 0.0
        told.append(f"{weights} {'equal' if same == 1.0 else f'{same:.4%} equal'}")
        if same < enough:
            wrong.append(f"{weights}: {same:.4%} of the pixels are as in the checkout")
    levels = f" ({', '.join(found['levels'])})" if has_library else ""
    return f"{backend}{levels}, the demo clip, class maps of {len(expected)} of its frames: {', '.join(told)}", wrong
