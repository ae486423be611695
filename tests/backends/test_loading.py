"""Segmenting with the default backend loads no extra, and nothing is reported to anybody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
import numpy as np
import bcpnet

segmenter = bcpnet.load({path!r}, threads=1, size_hw=(40, 48))
print(segmenter(np.zeros((30, 50, 3), np.uint8)).class_map.shape)
print(sorted(set(sys.modules) & {{"torch", "lightning", "openvino", "onnx", "safetensors", "av", "scipy"}}))
"""


def test_segmenting_loads_no_extra(onnx_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(path=str(onnx_path))], capture_output=True, text=True, check=False
    )
    assert run.stdout.splitlines() == ["(30, 50)", "[]"], run.stderr


@pytest.mark.parametrize("module", ["backends.onnxruntime", "onnx.quantise"])
def test_onnxruntime_keeps_no_device_id(module: str, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if module == "onnx.quantise":
        pytest.importorskip("onnx_ir")
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)  # set by the import of bcpnet here
    subprocess.run([sys.executable, "-c", f"import bcpnet.{module}"], check=True)
    assert not list(cache_folder.rglob("*"))
