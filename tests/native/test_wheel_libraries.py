"""The C library of a wheel where there is no Python for it: the tests of test_aarch64.py, linked with that library.

tools/make_wheels.py says by the environment which library, for which target, and what runs a program there.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_aarch64 import (
    SOURCES,
    Emulated,
    test_8_bit_layers_write_what_integers_give,  # noqa: F401
    test_floats_are_those_of_onnxruntime,  # noqa: F401
    test_integers_are_those_of_onnxruntime,  # noqa: F401
)

LIBRARY, TARGET, RUNNER = (os.environ.get(f"BCPNET_WHEEL_{name}", "") for name in ("LIBRARY", "TARGET", "RUNNER"))
pytestmark = pytest.mark.skipif(not LIBRARY, reason="needs a wheel's library: make wheels")
OPTIONS = ("-O2", "-s", "-fno-sanitize=undefined", "-mcpu=baseline", "-target", TARGET)


class Elsewhere(Emulated):
    """The driver, by what runs programs of its kind here."""

    def _run(self, *arguments: str) -> str:
        command = [*shlex.split(RUNNER), str(self._driver), *arguments]
        variables = {**os.environ, "WINEPREFIX": str(self._driver.parent / "wine"), "WINEDEBUG": "-all"}
        told = self._driver.with_name("told")  # a pipe would wait for the services that Wine starts, too
        with told.open("wb") as out:
            subprocess.run(command, env=variables, stdout=out, stderr=subprocess.DEVNULL, check=True)
        return told.read_text()


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """The driver beside the library, which it loads."""
    folder = tmp_path_factory.mktemp("library")
    library = folder / Path(LIBRARY).name
    shutil.copy2(LIBRARY, library)
    linked = shutil.copy2(library, folder / "library.dll") if library.suffix == ".pyd" else library
    driver = folder / "driver.exe"
    sources = (f"-I{SOURCES}", str(Path(__file__).parent / "aarch64_driver.c"), str(linked))
    kind = () if "windows" in TARGET else ("-dynamic", "-Wl,-rpath,$ORIGIN")
    compiler = (sys.executable, "-m", "ziglang", "cc")
    subprocess.run((*compiler, *OPTIONS, *kind, *sources, "-o", str(driver)), check=True)
    return Elsewhere(driver, TARGET)
