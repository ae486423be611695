"""How many multiply-adds a network in an ONNX file takes, as ONNX Runtime's profiler sees its layers' shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort

from bcpnet.backends.onnxruntime import open_session
from bcpnet.weights import resolve


class Macs(NamedTuple):
    """Multiply-adds of one image.

    Attributes:
        total: of convolutions and matrix products, as they stand in the file (folded).
        int8: whether the file says that they are of 8-bit integers.
    """

    total: int
    int8: bool


def count_macs(weights: str | Path, size_hw: tuple[int, int]) -> Macs | None:
    """Multiply-adds of one image. Runs the network once.

    Args:
        weights: a name that ships, or the path of a .onnx file; None is what others get.
        size_hw: of the network's input, in pixels.

    Raises:
        UsageError, InputError: the weights cannot be read.
    """
    path = resolve(weights, ".onnx")
    if path.suffix.lower() != ".onnx":
        return None
    with TemporaryDirectory(prefix="bcpnet-") as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session, _ = open_session(path, options)
        session.run(None, {session.get_inputs()[0].name: np.zeros((1, *size_hw, 3), np.uint8)})
        events = json.loads(Path(session.end_profiling()).read_text())
    layers = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
    return Macs(sum(map(_macs, layers)), any(layer["op_name"] == "DequantizeLinear" for layer in layers))


def open_task(*, weights: str, size_hw: tuple[int, int]) -> tuple[Macs | None, Callable[[Any], None]]:
    """For `bcpnet.benchmark.worker`: tells them at once, then there is nothing more to ask."""
    height, width = size_hw
    return count_macs(weights, (height, width)), lambda _: None


def _macs(layer: dict[str, Any]) -> int:
    operator = layer["op_name"]
    if operator not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
        return 0
    first, second = (_shape(value) for value in layer["input_type_shape"][:2])
    result = _shape(layer["output_type_shape"][0])
    if operator == "Conv":
        return prod(result) * prod(second[1:])
    if operator == "ConvTranspose":
        return prod(first) * prod(second[1:])
    return prod(result) * (first[-1] if operator == "MatMul" else prod(first) // result[0])


def _shape(value: dict[str, list[int]]) -> list[int]:
    """{"float": [1, 3, 8, 8]} -> [1, 3, 8, 8]."""
    (shape,) = value.values()
    return shape
