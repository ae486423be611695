"""Weights that ship are known by their content, wherever a copy of them lies."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from bcpnet.errors import InputError
from bcpnet.weights import is_shipped, path_of, shipped


def test_sha256sums_are_those_of_the_files() -> None:
    """tools/release_weights.py writes it; by hand: `sha256sum *.onnx > SHA256SUMS` in that folder."""
    told = (path_of(shipped()[0], ".onnx").parent / "SHA256SUMS").read_text()
    files = sorted(path_of(name, ".onnx") for name in shipped())
    assert told == "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def test_a_copy_is_known_and_a_changed_one_is_not(tmp_path: Path) -> None:
    copy = Path(shutil.copy(path_of("camvid", ".onnx"), tmp_path / "other name.onnx"))
    assert is_shipped(copy)
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    assert not is_shipped(copy)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        is_shipped(tmp_path / "none.onnx")
