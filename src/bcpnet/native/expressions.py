"""An ONNX graph as expressions: what each value is made of, without the arithmetic on sizes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.native.onnx_file import Graph, Node

Floats = npt.NDArray[np.float32]


_POOLING = [[3, 3], [2, 2], [1, 1, 1, 1]]


class UnsupportedError(ValueError):
    """The engine cannot run this graph; the text says what it met."""


class Kind(IntEnum):
    """Of activations, as in layers.h."""

    LINEAR, CLIP, HARD_SWISH, SWISH = range(4)


@dataclass(frozen=True)
class Activation:
    """`kind`, and the bounds of CLIP."""

    kind: Kind = Kind.LINEAR
    low: float = 0.0
    high: float = 0.0


NO_ACTIVATION = Activation()


@dataclass(eq=False)
class Value:
    """A value of the graph: what made it from `inputs`.

    Attributes:
        made_by: "frame", "conv", "activation", "scale", "upsample", "pool", "mean", "sum", "gated" or
            "sigmoid".
        node: the name of the node in the file that made it.
        weights, bias: of "conv", K x C x k x k and K.
        depthwise, stride: of "conv".
        factor: of "scale".
    """

    made_by: str
    inputs: tuple[Value, ...] = ()
    weights: Floats = field(default_factory=lambda: np.empty((0, 0, 0, 0), np.float32))
    bias: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    depthwise: bool = False
    stride: int = 1
    activation: Activation = NO_ACTIVATION
    factor: float = 1.0
    node: str = ""

    @property
    def pointwise(self) -> bool:
        """Whether this is a 1x1 convolution."""
        return self.made_by == "conv" and not self.depthwise and self.weights.shape[2:] == (1, 1)


def expression(graph: Graph) -> tuple[Value, float]:
    """What the output is made of, and the mean that is taken off the frame.

    Raises:
        UnsupportedError: an operator that the engine does not know; the text names the node.
    """
    values: dict[str, Value] = {graph.inputs[0]: Value("frame")}
    mean = None
    for node in graph.nodes:
        tensors = [values[name] for name in node.inputs if name in values]
        if node.operator == "Shape" or not tensors:
            continue  # sizes: they follow from the input's
        constants = [graph.constants[name] for name in node.inputs if name in graph.constants]
        if node.operator == "Sub" and tensors[0].made_by == "frame":
            mean = float(constants[0])
        name = node.name or node.outputs[0]
        try:
            made = _expression(node, tensors, constants)
        except UnsupportedError as error:
            raise UnsupportedError(f"{error}, node {name}") from error
        except (LookupError, TypeError) as error:  # attributes left out, wrong shapes: files that others wrote
            raise UnsupportedError(f"{node.operator} of another form: {error}, node {name}") from error
        values[node.outputs[0]] = made if made in tensors else replace(made, node=name)
    if mean is None:
        raise UnsupportedError("an input of floats, not of frames")
    return values[graph.outputs[0]], mean


def _expression(node: Node, tensors: list[Value], constants: list[npt.NDArray[Any]]) -> Value:
    operator, of = node.operator, node.attributes
    first = tensors[0]
    if first.made_by == "frame" and operator in ("Cast", "Transpose", "Sub"):
        return first
    if operator == "Conv":
        return _conv(of, first, constants)
    if operator == "Relu":
        return Value("activation", (first,), activation=Activation(Kind.CLIP, 0.0, float("inf")))
    if operator == "Clip" and len(constants) == 2:
        low, high = map(float, constants)
        return Value("activation", (first,), activation=Activation(Kind.CLIP, low, high))
    if operator == "HardSigmoid" and first.made_by == "conv":
        slope, middle = of["alpha"], of["beta"]
        line = replace(first, weights=first.weights * slope, bias=first.bias * slope + middle)
        return Value("activation", (line,), activation=Activation(Kind.CLIP, 0.0, 1.0))
    if operator == "ReduceMean" and [constant.tolist() for constant in constants] == [[2, 3]]:
        return Value("mean", (first,))
    if operator == "HardSwish":
        return Value("activation", (first,), activation=Activation(Kind.HARD_SWISH))
    if operator == "Sigmoid":
        return Value("sigmoid", (first,))
    if operator == "Mul" and len(tensors) == 2:
        for one, other in (tensors, tensors[::-1]):
            if other.made_by == "sigmoid" and other.inputs[0] is one:
                return Value("activation", (one,), activation=Activation(Kind.SWISH))
            if _mean_of(other) is one:
                return Value("gated", (one, other))
    if operator == "Mul" and [constant.size for constant in constants] == [1]:
        return Value("scale", (first,), factor=float(constants[0]))
    if operator == "Add" and len(tensors) == 2:
        return Value("sum", tuple(tensors))
    if operator == "MaxPool" and [of.get(key) for key in ("kernel_shape", "strides", "pads")] == _POOLING:
        return Value("pool", (first,))
    if operator == "Resize" and of.get("mode") == "nearest" and constants[-1].tolist() == [1, 1, 2, 2]:
        return Value("upsample", (first,))
    if operator == "Slice" and first.made_by == "upsample":
        return first  # cut to the size of what it is added to
    raise UnsupportedError(f"{operator} of {', '.join(value.made_by for value in tensors)}")


def _mean_of(gate: Value) -> Value | None:
    """What a squeeze-and-excite gate is computed from; None if this is no such gate."""
    while gate.made_by in ("activation", "conv"):
        gate = gate.inputs[0]
    return gate.inputs[0] if gate.made_by == "mean" else None


def _conv(of: dict[str, Any], value: Value, constants: list[npt.NDArray[Any]]) -> Value:
    weights = constants[0].astype(np.float32)
    bias = constants[1].astype(np.float32) if len(constants) > 1 else np.zeros(len(weights), np.float32)
    kernel, group = weights.shape[2], of.get("group", 1)
    strides, pads, dilations = of.get("strides", [1, 1]), of.get("pads", [0] * 4), of.get("dilations", [1, 1])
    stride = strides[0]
    if dilations != [1, 1] or strides != [stride] * 2 or pads != [kernel // 2] * 4:
        raise UnsupportedError("a convolution with dilation or unusual padding")
    depthwise = group > 1
    known = (
        (depthwise and group == len(weights) and kernel in (3, 5) and stride in (1, 2))
        or (value.made_by == "frame" and weights.shape[1:] == (3, 3, 3) and stride == 2)
        or (group == 1 and kernel == 1 and stride == 1)
    )
    if not known:
        raise UnsupportedError(f"a convolution {weights.shape} of stride {stride} in {group} groups")
    return Value("conv", (value,), weights, bias, depthwise, stride)
