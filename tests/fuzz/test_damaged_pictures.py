"""A small part of the fuzzers of images and label files, and that they would notice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from damaged_pictures import _what_happens, damaged, good_pictures

from bcpnet.data.files import IdLabels
from bcpnet.errors import InputError
from bcpnet.media.images import read_image


@pytest.mark.parametrize("target", ["images", "labels"])
def test_a_few(target: str) -> None:
    script = Path(__file__).with_name(f"{target}.py")
    run = subprocess.run(
        [sys.executable, script, "--count", "300", "--seed", "1"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    counts = json.loads(run.stdout)
    assert counts["files"] == 300
    assert counts["faults"] == 0
    assert counts["read"] > 20
    assert counts["InputError"] > 100


@pytest.mark.filterwarnings("ignore")
def test_the_pictures_are_good_and_the_damage_is_the_seeds(tmp_path: Path) -> None:
    files = good_pictures()
    assert {"PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM"} < set(files)
    (tmp_path / "x").write_bytes(files["PNG"][0])
    assert read_image(tmp_path / "x").shape == (23, 37, 3)
    assert damaged(files, random.Random("3")) == damaged(files, random.Random("3"))
    assert damaged(files, random.Random("3")) != damaged(files, random.Random("4"))


def test_it_would_notice(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(good_pictures()["PNG"][0])

    def raises(error: Exception) -> str:
        def read(_: Path) -> None:
            raise error

        return _what_happens(read, path, 3)  # type: ignore[arg-type]

    assert _what_happens(read_image, path, 3) == "read"
    assert raises(InputError(f"{path}: damaged")) == "InputError"
    assert raises(InputError("damaged")).startswith("message")
    assert raises(InputError(f"{path}: two\nlines")).startswith("message")
    assert raises(AssertionError("x")) == "AssertionError: x"
    assert _what_happens(IdLabels({}), path, 2) == "InputError"
    assert _what_happens(lambda path: read_image(path)[:, :, 0], path, 3).startswith("uint8")
