"""A network small enough to check by hand: one convolution, as an ONNX file with bcpnet's metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bcpnet.frames.preprocess import MEAN, SCALE
from bcpnet.labels import CAMVID, ClassSet
from bcpnet.metadata import Metadata

METADATA = Metadata("bcpnet", {"encoder": "none"}, CAMVID, short_side=360, provenance="made by a test")


def make_kernel(classes: ClassSet = CAMVID) -> npt.NDArray[np.float32]:
    """K x 3 x 9 x 9 weights."""
    return np.random.default_rng(0).normal(size=(len(classes), 3, 9, 9)).astype(np.float32)


def write_onnx(path: Path, metadata: dict[str, str], classes: ClassSet = CAMVID) -> Path:
    """Writes an ONNX file: normalisation, a 9x9 convolution with stride 8 (ceil(H/8) x ceil(W/8) logits), metadata."""
    onnx = pytest.importorskip("onnx", reason="the test's networks are made with onnx")
    kernel = make_kernel(classes)
    floats = onnx.TensorProto.FLOAT
    node = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            node("Cast", ["images"], ["floats"], to=floats),
            node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
            node("Sub", ["planes", "mean"], ["centred"]),
            node("Mul", ["centred", "scale"], ["normalised"]),
            node("Conv", ["normalised", "kernel"], ["logits"], strides=[8, 8], pads=[4] * 4),
        ],
        "one_convolution",
        [onnx.helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ["n", "height", "width", 3])],
        [onnx.helper.make_tensor_value_info("logits", floats, ["n", len(kernel), "h", "w"])],
        [
            onnx.numpy_helper.from_array(values, name)
            for name, values in (("kernel", kernel), ("mean", np.float32(MEAN)), ("scale", np.float32(SCALE)))
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path
