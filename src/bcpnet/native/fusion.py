"""An ONNX graph as the fused steps that the C engine runs: front, depthwise convolution and 1x1 convolution in one.

The graph is first read as expressions, then covered with steps from the output backwards. Networks of 1x1 and depthwise
convolutions, their sums, 3x3 pooling and doubling by repetition can be covered: BCPNet with the MobileNetV2 encoder.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.native.onnx_file import Graph, Node

Floats = npt.NDArray[np.float32]


class UnsupportedError(ValueError):
    """The engine cannot run this graph; the text says what it met."""


class Kind(IntEnum):
    """Of activations, as in layers.h."""

    LINEAR, CLIP, HARD_SWISH, SWISH = range(4)


class Sampling(IntEnum):
    """How a source is read, as in layers.h: as it is, doubled by repetition, the 3x3 maximum at stride 2."""

    SAME, UPSAMPLED, POOLED = range(3)


@dataclass(frozen=True)
class Activation:
    """`kind`, and the bounds of CLIP."""

    kind: Kind = Kind.LINEAR
    low: float = 0.0
    high: float = 0.0


@dataclass(eq=False)
class Value:
    """A value of the graph: what made it from `inputs`.

    Attributes:
        made_by: "frame", "conv", "activation", "scale", "upsample", "pool", "mean", "sum", "gated" or
            "sigmoid".
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
    activation: Activation = Activation()
    factor: float = 1.0

    @property
    def pointwise(self) -> bool:
        """Whether this is a 1x1 convolution."""
        return self.made_by == "conv" and not self.depthwise and self.weights.shape[2:] == (1, 1)


@dataclass(frozen=True)
class Source:
    """A step's input: the output of step `step` (None: the frame)."""

    step: int | None
    sampling: Sampling = Sampling.SAME
    factor: float = 1.0


@dataclass(frozen=True)
class Step:
    """One fused layer.

    Attributes:
        sources: of the front; of a step without depthwise convolution, its one input.
        pool: the 3x3 maximum at stride 2 of the source, and nothing else.
        expand: 1x1 convolution in front, or the network's first convolution where the source is the frame.
        front_activation: after the weighted sum, where nothing is expanded.
        depthwise, project: the convolutions; None = left out.
        squeeze: `expand`, then `project`, of the source's mean pixel: the gate of squeeze and excite.
        gate: the step with the factors that the source's channels are multiplied by.
        residual: the step whose output is added.
    """

    sources: tuple[Source, ...]
    pool: bool = False
    expand: Value | None = None
    front_activation: Activation = Activation()
    depthwise: Value | None = None
    project: Value | None = None
    squeeze: bool = False
    gate: int | None = None
    residual: int | None = None


def fuse(graph: Graph) -> tuple[list[Step], float]:
    """The steps, the last of which makes the logits, and the mean that is taken off the frame.

    Raises:
        UnsupportedError: something that no step does.
    """
    values, mean = _expressions(graph)
    cover = _Cover(values[graph.outputs[0]])
    cover.emit(cover.output)
    return cover.steps, mean


def _expressions(graph: Graph) -> tuple[dict[str, Value], float]:
    values: dict[str, Value] = {graph.inputs[0]: Value("frame")}
    mean = 0.0
    for node in graph.nodes:
        tensors = [values[name] for name in node.inputs if name in values]
        if node.operator == "Shape" or not tensors:
            continue  # sizes: they follow from the input's
        constants = [graph.constants[name] for name in node.inputs if name in graph.constants]
        if node.operator == "Sub" and tensors[0].made_by == "frame":
            mean = float(constants[0])
        values[node.outputs[0]] = _expression(node, tensors, constants)
    return values, mean


def _expression(node: Node, tensors: list[Value], constants: list[npt.NDArray[Any]]) -> Value:
    operator, of = node.operator, node.attributes
    first = tensors[0]
    if first.made_by == "frame" and operator in ("Cast", "Transpose", "Sub"):
        return first
    if operator == "Conv":
        return _conv(of, first, constants)
    if operator == "Relu":
        return Value("activation", (first,), activation=Activation(Kind.CLIP, 0.0, float("inf")))
    if operator == "Clip":
        low, high = map(float, constants)
        return Value("activation", (first,), activation=Activation(Kind.CLIP, low, high))
    if operator == "HardSigmoid" and first.made_by == "conv":
        slope, middle = of["alpha"], of["beta"]
        line = replace(first, weights=first.weights * slope, bias=first.bias * slope + middle)
        return Value("activation", (line,), activation=Activation(Kind.CLIP, 0.0, 1.0))
    if operator == "ReduceMean" and constants[0].tolist() == [2, 3]:
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
    if operator == "Mul" and len(tensors) == 1 and constants[0].size == 1:
        return Value("scale", (first,), factor=float(constants[0]))
    if operator == "Add" and len(tensors) == 2:
        return Value("sum", tuple(tensors))
    if operator == "MaxPool" and (of["kernel_shape"], of["strides"], of["pads"]) == ([3, 3], [2, 2], [1] * 4):
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
    kernel, stride, group = weights.shape[2], of["strides"][0], of["group"]
    if of["dilations"] != [1, 1] or of["strides"] != [stride] * 2 or of["pads"] != [kernel // 2] * 4:
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


class _Cover:
    """Steps that compute an expression; each value that is needed twice is computed once."""

    def __init__(self, output: Value) -> None:
        self.steps: list[Step] = []
        self._step_of: dict[int, int] = {}
        self._needed: Counter[int] = Counter()
        self._merged: dict[int, Value] = {}
        self.output = self._merge(output)
        self._count(self.output)

    def _merge(self, value: Value) -> Value:
        """The expression with activations inside the convolutions before them, sums flat and factors in their terms."""
        known = self._merged.get(id(value))
        if known is not None:
            return known
        inputs = tuple(self._merge(one) for one in value.inputs)
        merged = replace(value, inputs=inputs)
        if value.made_by == "activation" and inputs[0].made_by in ("conv", "sum"):
            if inputs[0].activation != Activation():
                raise UnsupportedError("two activations in a row")
            merged = replace(inputs[0], activation=value.activation)
        elif value.made_by == "sum":
            flat = [
                term
                for one in inputs
                for term in (one.inputs if one.made_by == "sum" and one.activation == Activation() and _scaled(one) else (one,))
            ]
            merged = replace(merged, inputs=tuple(flat))
        self._merged[id(value)] = merged
        return merged

    def _count(self, value: Value) -> None:
        self._needed[id(value)] += 1
        if self._needed[id(value)] == 1:
            for one in value.inputs:
                self._count(one)

    def _alone(self, value: Value) -> bool:
        return self._needed[id(value)] == 1

    def emit(self, value: Value) -> int:
        """The step that computes `value`, added if it is not there yet."""
        if id(value) in self._step_of:
            return self._step_of[id(value)]
        if value.pointwise:
            step = self._product(value, None)
        elif value.made_by == "pool":
            step = Step((self._source(value.inputs[0]),), pool=True)
        elif value.made_by == "conv" and value.inputs[0].made_by == "frame":
            step = Step((Source(None),), project=value)
        elif value.made_by == "gated":
            step = self._gated(value, None)
        elif value.made_by == "sum" and value.activation == Activation() and len(value.inputs) == 2:
            for one, other in (value.inputs, value.inputs[::-1]):
                if self._alone(one) and (one.pointwise or one.made_by == "gated"):
                    compute = self._product if one.pointwise else self._gated
                    step = compute(one, self.emit(other))
                    break
            else:
                raise UnsupportedError("a sum of two values that are needed elsewhere too")
        else:
            raise UnsupportedError(f"{value.made_by} that nothing in front of a depthwise convolution takes in")
        self.steps.append(step)
        self._step_of[id(value)] = len(self.steps) - 1
        return len(self.steps) - 1

    def _product(self, product: Value, residual: int | None) -> Step:
        depthwise = product.inputs[0]
        if not (depthwise.made_by == "conv" and depthwise.depthwise and self._alone(depthwise)):
            return Step((Source(self.emit(depthwise)),), project=product, residual=residual)
        front = depthwise.inputs[0]
        step = Step((), depthwise=depthwise, project=product, residual=residual)
        if front.made_by == "conv" and not front.depthwise and self._alone(front):
            before = front.inputs[0]
            source = Source(None if before.made_by == "frame" else self.emit(before))
            return replace(step, sources=(source,), expand=front)
        if front.made_by == "sum" and self._alone(front) and len(front.inputs) <= 3:
            terms = tuple(self._source(term) for term in front.inputs)
            return replace(step, sources=terms, front_activation=front.activation)
        return replace(step, sources=(Source(self.emit(front)),))

    def _gated(self, value: Value, residual: int | None) -> Step:
        scaled, gate = value.inputs
        squeeze = gate.inputs[0]
        if not (gate.pointwise and squeeze.pointwise and squeeze.inputs[0].made_by == "mean"):
            raise UnsupportedError("a gate that is not two 1x1 convolutions of the mean")
        source = Source(self.emit(scaled))
        self.steps.append(Step((source,), expand=squeeze, project=gate, squeeze=True))
        return Step((source,), gate=len(self.steps) - 1, residual=residual)

    def _source(self, value: Value) -> Source:
        if value.made_by == "scale":
            source = self._source(value.inputs[0])
            return replace(source, factor=source.factor * value.factor)
        if value.made_by == "upsample":
            return Source(self.emit(value.inputs[0]), Sampling.UPSAMPLED)
        if value.made_by == "pool" and self._alone(value) and id(value) not in self._step_of:
            return Source(self.emit(value.inputs[0]), Sampling.POOLED)
        return Source(self.emit(value))


def _scaled(value: Value) -> bool:
    """Whether this is a weighted sum, which may be taken apart; a block's shortcut may not."""
    return all(term.made_by == "scale" for term in value.inputs)
