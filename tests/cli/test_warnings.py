"""What is worth a line though nothing failed is told as one; what libraries tell programmers is not."""

from __future__ import annotations

import sys
import warnings

import pytest

from bcpnet.cli import main
from bcpnet.errors import InputWarning


def test_our_warnings_are_lines_and_those_of_libraries_are_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> int:
        for _time in range(3):
            warnings.warn("install a font", InputWarning, stacklevel=1)
            warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
            warnings.warn("odd EXIF", UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr("sys.warnoptions", [])
    monkeypatch.setattr(sys.modules["bcpnet.cli.main"], "_run", run)
    assert main(["models"]) == 0
    assert capsys.readouterr().err == "bcpnet: install a font\n"
