"""Networks of a few nodes, as ONNX files with bcpnet's metadata: every block that the engine fuses, in small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from bcpnet.labels import ClassSet
from bcpnet.metadata import KEY, Metadata

CLASSES = ClassSet("small", ("road", "car", "sky"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
METADATA = Metadata("bcpnet", {}, CLASSES, short_side=64)


class SmallNetwork:
    """A graph under construction; methods add nodes and return the name of what they make."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._generator = np.random.default_rng(seed)
        planes = self.node("Transpose", ["frames"], perm=[0, 3, 1, 2])
        self.frame = self.node("Sub", [self.node("Cast", [planes], to=TensorProto.FLOAT), self.constant(128.0)])

    def constant(self, values: npt.ArrayLike, dtype: type = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        name = f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], f"node_{len(self.nodes)}", **attributes))
        return name

    def weights(self, *shape: int) -> str:
        values = self._generator.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        return self.constant(values)

    def conv(self, value: str, *shape: int, bias: bool = True, **attributes: Any) -> str:
        biases = [self.weights(shape[0])] if bias else []
        return self.node("Conv", [value, self.weights(*shape), *biases], **attributes)

    def first(self, outputs: int) -> str:
        scaled = numpy_helper.from_array(
            self._generator.normal(size=(outputs, 3, 3, 3)).astype(np.float32) / 500, "first"
        )
        self.constants.append(scaled)
        bias = self.weights(outputs)
        return self.node("Conv", [self.frame, "first", bias], strides=[2, 2], pads=[1] * 4)

    def pointwise(self, value: str, inputs: int, outputs: int) -> str:
        return self.conv(value, outputs, inputs, 1, 1)

    def depthwise(self, value: str, channels: int, kernel: int = 3, stride: int = 1) -> str:
        how = {"group": channels, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        return self.conv(value, channels, 1, kernel, kernel, bias=False, **how)

    def pool(self, value: str) -> str:
        return self.node("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)

    def scaled(self, value: str, factor: float) -> str:
        return self.node("Mul", [value, self.constant(factor)])

    def size(self, axis: int, stride: int) -> str:
        """The frames' height (1) or width (2) behind that stride, rounded up; a list of one."""
        one = self.node("Squeeze", [self.node("Shape", ["frames"], start=axis, end=axis + 1)])
        less = self.node("Add", [one, self.constant(-1, np.int64)])
        part = self.node("Div", [less, self.constant(stride, np.int64)])
        more = self.node("Add", [self.constant(1, np.int64), part])
        return self.node("Reshape", [more, self.constant([-1], np.int64)])

    def doubled(self, value: str, stride: int) -> str:
        """Repeated rows and columns, cut to the frames' size behind `stride`."""
        scales = self.constant([1, 1, 2, 2])
        modes = {"coordinate_transformation_mode": "asymmetric", "mode": "nearest", "nearest_mode": "floor"}
        value = self.node("Resize", [value, "", scales], **modes)
        for axis in (2, 3):
            start, along, step = (self.constant([number], np.int64) for number in (0, axis, 1))
            value = self.node("Slice", [value, start, self.size(axis - 1, stride), along, step])
        return value

    def model(self, logits: str) -> onnx.ModelProto:
        """The whole, `logits` its output."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for at, name in enumerate(names):
                    if name == logits:
                        names[at] = "logits"
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["batch", "height", "width", 3])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(CLASSES), "h", "w"])],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        helper.set_model_props(model, {KEY: METADATA.to_json()})
        return model


def separable() -> onnx.ModelProto:
    """Stem, depthwise 5x5 of stride 2, 1x1, and a shortcut."""
    net = SmallNetwork()
    wide = net.node("HardSwish", [net.first(6)])
    narrow = net.pointwise(net.depthwise(wide, 6, 5, 2), 6, 5)
    inner = net.node("Relu", [net.pointwise(narrow, 5, 7)])
    inner = net.node("Clip", [net.depthwise(inner, 7), net.constant(0), net.constant(6)])
    return net.model(net.pointwise(net.node("Add", [narrow, net.pointwise(inner, 7, 5)]), 5, len(CLASSES)))


def gated() -> onnx.ModelProto:
    """Squeeze and excite, with a shortcut."""
    net = SmallNetwork(1)
    value = net.pointwise(net.first(4), 4, 5)
    block = net.pointwise(net.depthwise(value, 5), 5, 5)
    mean = net.node("ReduceMean", [block, net.constant([2, 3], np.int64)], keepdims=1)
    squeezed = net.node("Relu", [net.pointwise(mean, 5, 2)])
    gate = net.node("HardSigmoid", [net.pointwise(squeezed, 2, 5)], alpha=1 / 6, beta=0.5)
    out = net.node("Add", [value, net.node("Mul", [block, gate])])
    return net.model(net.pointwise(out, 5, len(CLASSES)))


def pyramid() -> onnx.ModelProto:
    """Weighted sums of maps as they are, pooled and doubled, with swish."""
    net = SmallNetwork(2)

    def node(*terms: str) -> str:
        total = terms[0]
        for term in terms[1:]:
            total = net.node("Add", [total, term])
        swish = net.node("Mul", [total, net.node("Sigmoid", [total])])
        return net.pointwise(net.depthwise(swish, 4), 4, 4)

    fine = net.pointwise(net.first(4), 4, 4)
    coarse = net.pool(fine)
    low = node(net.scaled(coarse, 0.7), net.scaled(net.pool(net.pointwise(fine, 4, 4)), 0.4))
    high = node(net.scaled(fine, 0.6), net.scaled(net.doubled(low, 2), -0.5))
    last = node(net.scaled(coarse, 0.3), net.scaled(low, 0.2), net.scaled(net.pool(high), 0.9))
    out = node(net.scaled(fine, 0.8), net.scaled(net.doubled(last, 2), 1.1))
    return net.model(net.pointwise(out, 4, len(CLASSES)))


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {"separable": separable, "gated": gated, "pyramid": pyramid}


def write(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path
