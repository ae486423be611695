"""The programs of docs/phones.md give bcpnet's class maps, and do without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from documents import ROOT
from PIL import Image

import bcpnet
from bcpnet.data.streets import Streets
from bcpnet.weights import path_of

pytest.importorskip("onnx_ir", reason="export needs onnx-ir")

EXAMPLES = ROOT / "examples"
SIZE_HW = (128, 192)


def same_pixels(program: str, arguments: list[str], folder: Path, weights: str = "camvid") -> float:
    """The share of pixels of a scene, which the program resizes, whose class is the one in bcpnet."""
    scene, out = folder / "street.png", folder / "class_map.png"
    Image.fromarray(Streets("val", (160, 240))[0].image).save(scene)
    expected = bcpnet.load(weights, backend="onnxruntime", threads=1, size_hw=SIZE_HW)(scene).class_map
    command = [sys.executable, EXAMPLES / program, *arguments, str(scene), str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "%" in ran.stdout
    class_map = np.asarray(Image.open(out))
    assert (class_map.dtype, class_map.shape) == (np.uint8, (160, 240))
    assert len(np.unique(class_map)) > 3
    return float((class_map == expected).mean())


@pytest.mark.parametrize("program", sorted(path.name for path in EXAMPLES.glob("run_*.py")))
def test_the_programs_do_without_bcpnet(program: str) -> None:
    text = (EXAMPLES / program).read_text()
    assert "import bcpnet" not in text
    assert "from bcpnet" not in text


def test_fixed_onnx(tmp_path: Path) -> None:
    from bcpnet.formats.fixed_onnx import write_fixed_onnx

    write_fixed_onnx(path_of("camvid", ".onnx"), SIZE_HW, tmp_path / "street.onnx")
    assert same_pixels("run_fixed_onnx.py", [str(tmp_path / "street.onnx")], tmp_path) > 0.99


@pytest.mark.parametrize(("weights", "least"), [("camvid", 0.99), ("camvid-int8", 0.97)])
def test_litert(weights: str, least: float, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT files need ai-edge-litert")
    from bcpnet.formats.litert import write_litert

    write_litert(path_of(weights, ".onnx"), SIZE_HW, tmp_path / "street.tflite")
    assert same_pixels("run_litert.py", [str(tmp_path / "street.tflite")], tmp_path, weights) > least


def test_ncnn(tmp_path: Path) -> None:
    for package in ("ncnn", "pnnx"):
        pytest.importorskip(package, reason="NCNN files need the packages ncnn and pnnx")
    from bcpnet.formats.ncnn import write_ncnn

    write_ncnn(path_of("camvid", ".onnx"), SIZE_HW, tmp_path / "street.param")
    assert same_pixels("run_ncnn.py", [str(tmp_path / "street.param"), "128x192"], tmp_path) > 0.99
