"""Which file is meant: a path, a name that ships, the folder of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcpnet.errors import InputError, UsageError
from bcpnet.weights import path_of, resolve


def test_a_run_means_its_last_weights(tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").touch()
    for suffix in (".onnx", ".safetensors"):
        assert resolve(tmp_path, suffix) == tmp_path / "last.safetensors"
        assert resolve(str(tmp_path), suffix) == tmp_path / "last.safetensors"


def test_names_that_ship_come_before_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset's folder is often called camvid."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camvid").mkdir()
    assert resolve("camvid", ".onnx") == path_of("camvid", ".onnx")


def test_paths_are_what_they_say(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.SAFETENSORS"):
        assert resolve(tmp_path / name, ".onnx") == tmp_path / name


def test_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a folder without last\.safetensors, so not that of a run"):
        resolve(tmp_path, ".onnx")
    with pytest.raises(UsageError, match=r"unknown weights 'nobody': .* or the folder of a run$"):
        resolve("nobody", ".onnx")
    for name in ("", "n" * 300, "a\0b"):  # a shell's variable that is not set; names that no file can have
        with pytest.raises(UsageError, match=r"^unknown weights '.*': "):
            resolve(name, ".onnx")
    with pytest.raises(InputError, match="never loaded"):
        resolve("x.pth", ".onnx")
