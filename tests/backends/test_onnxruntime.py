"""What a file can do to ONNX Runtime comes out as one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_networks import NETWORKS, SmallNetwork, write

from bcpnet.backends import open_backend
from bcpnet.errors import InputError

Change = Callable[[onnx.ModelProto], object]


def fixed(*sizes: int | str) -> Change:
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, sizes)
    return lambda model: model.graph.input[0].CopyFrom(frames)


def another_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))


def no_utf8(model: onnx.ModelProto) -> bytes:
    return model.SerializeToString().replace(b"Conv", b"Co\xffv")


def no_map(*nodes: tuple[str, list[str]], shape: list[int | str]) -> onnx.ModelProto:
    net = SmallNetwork()
    value = net.pointwise(net.first(4), 4, 3)
    for operator, more in nodes:
        value = net.node(operator, [value, *more])
    model = net.model(value)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape))
    return model


def kernel_too_wide(_: onnx.ModelProto) -> onnx.ModelProto:
    net = SmallNetwork()
    return net.model(net.conv(net.first(4), 3, 4, 3, 3, dilations=[64, 64]))


CHANGES: dict[str, tuple[Change, str]] = {
    "fixed size": (fixed(1, 64, 96, 3), r"made for frames of 1x64x96x3 .* and got 1x40x56x3: give it that size"),
    "fixed number": (fixed(2, "h", "w", 3), r"made for frames of 2xanyxanyx3"),
    "four channels": (fixed("n", "h", "w", 4), ""),
    "no outputs": (lambda model: model.graph.ClearField("output"), ""),
    "two inputs": (another_input, ""),
    "two outputs": (lambda model: model.graph.output.append(model.graph.output[0]), ""),
    "no UTF-8": (no_utf8, ""),
    "means": (lambda _: no_map(("GlobalAveragePool", []), ("Flatten", []), shape=["n", 3]), "no network from frames"),
    "kernel too wide": (kernel_too_wide, r"failed on 1 x 40x56 pixels"),
}


@pytest.mark.parametrize("backend", ["onnxruntime", "native", "openvino"])
@pytest.mark.parametrize("name", CHANGES)
def test_one_line(name: str, backend: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
    change, text = CHANGES[name]
    model = NETWORKS["separable"]()
    changed = change(model)
    path = tmp_path / "a.onnx"
    if isinstance(changed, bytes):
        path.write_bytes(changed)
    else:
        write(changed if isinstance(changed, onnx.ModelProto) else model, path)
    frames = np.zeros((1, 40, 56, 3), np.uint8)
    with pytest.raises(InputError, match=text if text and backend == "onnxruntime" else r"a\.onnx|failed on") as raised:
        open_backend(path, backend, threads=1)(frames)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
    printed = capfd.readouterr()
    assert printed.out == ""


def test_frames_of_the_fixed_size_are_taken(tmp_path: Path) -> None:
    model = NETWORKS["separable"]()
    fixed(1, 64, 96, 3)(model)
    backend = open_backend(write(model, tmp_path / "a.onnx"), threads=1)
    assert backend.name == "onnxruntime"
    assert backend(np.zeros((1, 64, 96, 3), np.uint8)).shape == (1, 3, 16, 24)
