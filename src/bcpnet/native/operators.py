"""The grammar: which nodes the engine takes, with which attributes, operands, types and shapes, and what each makes.

A node is taken only if all that it says is written here; whatever else it says, or leaves out, it is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bcpnet.native.attributes import attributes_of
from bcpnet.native.onnx_file import Array, Node
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.native.size_operators import SIZE_OPERATORS, size_operator
from bcpnet.native.sizes import Doubled, Integers, MapSize, Size
from bcpnet.native.values import NO_ACTIVATION, Activation, Floats, Frame, Kind, Value

Operand = Frame | Value | Integers | Array | None

_MOST_CHANNELS = 16384
# Where sums overflow, the order of their terms decides between a number and NaN. An int32, of 8-bit files, is below it.
_LARGEST = 1e10
_NO_PADS, _ONE = (0, 0, 0, 0), (1, 1)


def made_by(node: Node, operands: tuple[Operand, ...]) -> Frame | Value | Integers:
    """What `node` makes of its operands, None for one that is left out.

    Raises:
        UnsupportedError: the engine was not written for such a node; the text says why.
    """
    attributes = attributes_of(node)
    if len(node.outputs) != 1 or not node.outputs[0]:
        raise UnsupportedError(f"{node.operator} with {len(node.outputs)} outputs")
    if node.operator in SIZE_OPERATORS and not any(isinstance(operand, Value | Frame) for operand in operands):
        return size_operator(node.operator, operands)
    match (node.operator, *operands):
        case ("Shape", (Frame() | Value()) as shaped):
            return Integers(_shape(shaped)[attributes["start"] : attributes["end"]], 1)
        case ("Transpose", Frame(planes=False) as frame):
            return replace(frame, planes=True)
        case ("Cast", Frame(floats=False) as frame):
            return replace(frame, floats=True)
        case ("Sub", Frame(floats=True, mean=None) as frame, np.ndarray() as mean):
            return replace(frame, mean=_number(mean))
        case ("Conv", Frame(planes=True, floats=True, mean=float()) as frame, np.ndarray() as weights, *_):
            return _first_convolution(node, attributes, frame, weights, operands[2:])
        case ("Conv", Value() as value, np.ndarray() as weights, *_):
            return _convolution(node, attributes, value, weights, operands[2:])
        case ("Relu", Value() as value):
            return _activated(node, value, Activation(Kind.CLIP, 0.0, float("inf")))
        case ("Clip", Value() as value, np.ndarray() as low, np.ndarray() as high):
            bounds = _number(low, infinite=True), _number(high, infinite=True)
            return _activated(node, value, Activation(Kind.CLIP, *bounds))
        case ("HardSwish", Value() as value):
            return _activated(node, value, Activation(Kind.HARD_SWISH))
        case ("HardSigmoid", Value(made_by="conv") as conv):
            # Its line goes into the convolution, which leaves the clipping.
            slope, middle = attributes["alpha"], attributes["beta"]
            with np.errstate(all="ignore"):
                weights, bias = conv.weights * slope, conv.bias * slope + middle
            line = replace(conv, weights=_finite(weights), bias=_finite(bias))
            return _activated(node, line, Activation(Kind.CLIP, 0.0, 1.0))
        case ("Sigmoid", Value() as value):
            return _like(value, "sigmoid", node)
        case ("ReduceMean", Value(cut=True) as value, np.ndarray() as axes) if _is(axes, np.int64, [2, 3]):
            return Value("mean", value.channels, None, _name(node), (value,), mean_of=value)
        case ("Mul", Value() as value, Value(made_by="sigmoid", inputs=(same,))) if same is value:
            return _activated(node, value, Activation(Kind.SWISH))
        case ("Mul", Value(made_by="sigmoid", inputs=(same,)), Value() as value) if same is value:
            return _activated(node, value, Activation(Kind.SWISH))
        case ("Mul", Value(cut=True) as value, Value(size=None) as gate) if _gates(gate, value):
            return Value("gated", value.channels, value.size, _name(node), (value, gate))
        case ("Mul", Value(size=None) as gate, Value(cut=True) as value) if _gates(gate, value):
            return Value("gated", value.channels, value.size, _name(node), (value, gate))
        case ("Mul", Value() as value, np.ndarray() as factor) | ("Mul", np.ndarray() as factor, Value() as value):
            return replace(_like(value, "scale", node), factor=_number(factor))
        case ("Add", Value(cut=True) as one, Value(cut=True) as other):
            if (one.channels, one.size) != (other.channels, other.size):
                raise UnsupportedError(f"Add of maps of {_shown(one)} and {_shown(other)}")
            return Value("sum", one.channels, one.size, _name(node), (one, other))
        case ("MaxPool", Value(cut=True) as value):
            return Value("pool", value.channels, _strided(value.size, 2), _name(node), (value,))
        case ("Resize", Value(cut=True, size=(Size() as height, Size() as width)) as value, None, np.ndarray() as by):
            if not _is(by, np.float32, [1, 1, 2, 2]):
                raise UnsupportedError("Resize by other factors than 2")
            return Value("upsample", value.channels, (Doubled(height), Doubled(width)), _name(node), (value,))
        case ("Slice", Value(made_by="upsample") as value, np.ndarray() as start, Integers() as end, *_):
            return _cut(value, start, end, operands[3:])
    raise UnsupportedError(f"{node.operator} of {', '.join(map(_shown, operands)) or 'nothing'}")


def _first_convolution(
    node: Node, attributes: dict[str, Any], frame: Frame, weights: Array, bias: tuple[Operand, ...]
) -> Value:
    kernel, biases = _kernel(attributes, weights, bias)
    if kernel.shape[1:] != (3, 3, 3) or _how(attributes) != (1, (2, 2), (1, 1, 1, 1)):
        raise UnsupportedError(f"a convolution of the frames, {_told(kernel, attributes)}")
    size = _strided((Size("height"), Size("width")), 2)
    made = Value("conv", len(kernel), size, _name(node), (), kernel, biases, stride=2)
    return replace(made, frame_mean=frame.mean)


def _convolution(
    node: Node, attributes: dict[str, Any], value: Value, weights: Array, bias: tuple[Operand, ...]
) -> Value:
    kernel, biases = _kernel(attributes, weights, bias)
    group, strides, pads = _how(attributes)
    outputs, inputs, height, width = kernel.shape
    pointwise = group == 1 and (height, width) == (1, 1) and inputs == value.channels
    depthwise = 1 < group == outputs == value.channels and inputs == 1 and height == width and height in (3, 5)
    if pointwise and (strides, pads) == (_ONE, _NO_PADS) and (value.cut or value.size is None):
        made = Value("conv", outputs, value.size, _name(node), (value,), kernel, biases)
        return replace(made, mean_of=value.mean_of)
    if depthwise and strides in (_ONE, (2, 2)) and pads == (height // 2,) * 4 and value.cut:
        size = _strided(value.size, strides[0])
        return Value("conv", outputs, size, _name(node), (value,), kernel, biases, True, strides[0])
    raise UnsupportedError(f"a convolution of {_shown(value)}, {_told(kernel, attributes)}")


def _kernel(attributes: dict[str, Any], weights: Array, bias: tuple[Operand, ...]) -> tuple[Floats, Floats]:
    """The numbers of a convolution; a bias that is left out is zero."""
    if weights.ndim != 4 or weights.dtype != np.float32 or not 0 < max(weights.shape[:2]) <= _MOST_CHANNELS:
        raise UnsupportedError(f"a convolution whose weights are {weights.dtype} {weights.shape}")
    if not weights.size or attributes["kernel_shape"] not in ((), weights.shape[2:]):
        raise UnsupportedError(f"a convolution of {attributes['kernel_shape']} whose weights are {weights.shape}")
    given = bias[0] if bias else None
    if given is None:
        given = np.zeros(len(weights), np.float32)
    if len(bias) > 1 or not isinstance(given, np.ndarray) or given.dtype != np.float32:
        raise UnsupportedError("a convolution whose bias is not one constant of floats")
    if given.shape != (len(weights),):
        raise UnsupportedError(f"a convolution of {len(weights)} outputs with a bias of {given.shape}")
    return _finite(weights), _finite(given)


def _how(attributes: dict[str, Any]) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    return attributes["group"], attributes["strides"], attributes["pads"]


def _told(kernel: Floats, attributes: dict[str, Any]) -> str:
    group, strides, pads = _how(attributes)
    return f"{kernel.shape} in {group} groups, strides {strides}, padding {pads}"


def _cut(value: Value, start: Array, end: Integers, axis_and_step: tuple[Operand, ...]) -> Value:
    """The doubled map without its last row or column where what it is added to has an odd number."""
    match axis_and_step:
        case (np.ndarray() as axis, np.ndarray() as step) if _is(start, np.int64, [0]) and _is(step, np.int64, [1]):
            for number, at in ((2, 0), (3, 1)):
                if _is(axis, np.int64, [number]) and end.rank == 1 and len(end.values) == 1 and value.size is not None:
                    doubled, length = value.size[at], end.values[0]
                    if isinstance(doubled, Doubled) and isinstance(length, Size) and length.halved() == doubled.half:
                        size = (length, value.size[1]) if at == 0 else (value.size[0], length)
                        return replace(value, size=size)
    raise UnsupportedError("Slice that does not cut a doubled map to the size it has elsewhere")


def _activated(node: Node, value: Value, activation: Activation) -> Value:
    if value.activation != NO_ACTIVATION or not (value.cut or value.size is None):
        raise UnsupportedError(f"{node.operator} of {_shown(value)}")
    return replace(_like(value, "activation", node), activation=activation)


def _like(value: Value, made_by: str, node: Node) -> Value:
    """Made of `value` alone, of its shape."""
    return Value(made_by, value.channels, value.size, _name(node), (value,), mean_of=value.mean_of)


def _gates(gate: Value, value: Value) -> bool:
    return gate.mean_of is value and gate.channels == value.channels


def _strided(size: MapSize | None, stride: int) -> MapSize:
    """Behind a convolution or pooling whose padding is half its kernel."""
    if size is None or isinstance(size[0], Doubled) or isinstance(size[1], Doubled):
        raise UnsupportedError("a map whose size is not known")
    return size if stride == 1 else (size[0].halved(), size[1].halved())


def _shape(of: Frame | Value) -> tuple[int | Size | Doubled, ...]:
    batch = Size("batch")
    if isinstance(of, Frame):
        height, width = Size("height"), Size("width")
        return (batch, 3, height, width) if of.planes else (batch, height, width, 3)
    return (batch, of.channels, *(of.size or (1, 1)))


def _number(constant: Array, infinite: bool = False) -> float:
    """A constant that is one float32."""
    if constant.shape != () or constant.dtype != np.float32:
        raise UnsupportedError(f"a constant {constant.dtype} {constant.shape} where one float was expected")
    if np.isnan(constant) or not (infinite or np.isfinite(constant)):
        raise UnsupportedError(f"a constant that is {constant}")
    return float(constant)


def _finite(numbers: Floats) -> Floats:
    if not np.abs(numbers).max(initial=0.0) <= _LARGEST:  # so written, NaN is refused too
        raise UnsupportedError(f"weights that are not finite, or beyond {_LARGEST:g}")
    return numbers


def _is(constant: Array, dtype: type, numbers: list[int]) -> bool:
    return constant.dtype == dtype and constant.ndim == 1 and constant.tolist() == numbers


def _name(node: Node) -> str:
    return node.name or node.outputs[0]


def _shown(operand: Operand) -> str:
    match operand:
        case Frame():
            return "the frames"
        case Value(size=None):
            return f"{operand.channels} means"
        case Value():
            return f"{operand.channels} channels from a {operand.made_by}"
        case Integers():
            return "sizes"
        case np.ndarray():
            return f"a constant {operand.shape}"
    return "what is left out"
