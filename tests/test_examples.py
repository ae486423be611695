"""The program in examples/ gives the class map that bcpnet gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bcpnet
from bcpnet.data.streets import Streets
from bcpnet.weights import path_of

PROGRAM = Path(__file__).resolve().parents[1] / "examples" / "onnx_without_bcpnet.py"
SIZES = ((360, 480), (540, 720), (377, 601))  # the short side is 540


@pytest.fixture(scope="module")
def class_map_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx_ir", reason="export needs onnx-ir")
    from bcpnet.onnx.class_map import write_class_map_onnx

    path: Path = tmp_path_factory.mktemp("onnx") / "classes.onnx"
    write_class_map_onnx(path_of("camvid", ".onnx"), path)
    return path


def same_pixels(weights: Path, name: str, size_hw: tuple[int, int], folder: Path) -> float:
    """The share of pixels of a scene whose class in the program is the one in bcpnet."""
    scene, out = folder / "street.png", folder / "class_map.png"
    Image.fromarray(Streets("val", size_hw)[0].image).save(scene)
    result = bcpnet.load(name, backend="onnxruntime", threads=1)(scene)
    ran = subprocess.run([sys.executable, PROGRAM, weights, scene, out], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "road" in ran.stdout
    class_map = np.asarray(Image.open(out))
    assert class_map.dtype == np.uint8
    assert class_map.shape == size_hw
    assert len(np.unique(class_map)) > 3
    return float((class_map == result.class_map).mean())


def test_the_program_does_without_bcpnet() -> None:
    assert "import bcpnet" not in PROGRAM.read_text()
    assert "from bcpnet" not in PROGRAM.read_text()


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("name", ["camvid", "camvid-int8"])
def test_logits(name: str, size_hw: tuple[int, int], tmp_path: Path) -> None:
    """Measured: all pixels."""
    assert same_pixels(path_of(name, ".onnx"), name, size_hw, tmp_path) > 0.999


@pytest.mark.parametrize("size_hw", SIZES)
def test_class_maps(class_map_onnx: Path, size_hw: tuple[int, int], tmp_path: Path) -> None:
    """Measured: 99.5 % of the pixels and more; the others lie where the class map is stretched to the image."""
    assert same_pixels(class_map_onnx, "camvid", size_hw, tmp_path) > 0.99
