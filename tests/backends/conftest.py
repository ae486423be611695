"""A small network as ONNX, made here, with its plain NumPy definition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bcpnet.labels import CAMVID
from bcpnet.metadata import KEY, Metadata

METADATA = Metadata("bcpnet", {"encoder": "none"}, CAMVID, short_side=360, provenance="made by a test")


@pytest.fixture(scope="session")
def kernel() -> npt.NDArray[np.float32]:
    """11 x 3 x 9 x 9 weights of the one convolution."""
    return np.random.default_rng(0).normal(size=(len(CAMVID), 3, 9, 9)).astype(np.float32)


@pytest.fixture(scope="session")
def write_onnx(kernel: npt.NDArray[np.float32]) -> Callable[[Path, dict[str, str]], Path]:
    """Writes an ONNX file: a 9x9 convolution with stride 8 (ceil(H/8) x ceil(W/8) logits), and metadata."""
    onnx = pytest.importorskip("onnx", reason="the test's networks are made with onnx")

    def write(path: Path, metadata: dict[str, str]) -> Path:
        floats = onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Conv", ["images", "kernel"], ["logits"], strides=[8, 8], pads=[4] * 4)],
            "one_convolution",
            [onnx.helper.make_tensor_value_info("images", floats, ["n", 3, "height", "width"])],
            [onnx.helper.make_tensor_value_info("logits", floats, ["n", len(kernel), "h", "w"])],
            [onnx.numpy_helper.from_array(kernel, "kernel")],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
        onnx.helper.set_model_props(model, metadata)
        onnx.save(model, path)
        return path

    return write


@pytest.fixture(scope="session")
def onnx_path(write_onnx: Callable[[Path, dict[str, str]], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network with its bcpnet metadata."""
    return write_onnx(tmp_path_factory.mktemp("onnx") / "network.onnx", {KEY: METADATA.to_json()})
