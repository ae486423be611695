"""A network as fused steps for the C engine: front, depthwise convolution and 1x1 convolution in one.

Steps are found from the output backwards. Networks of 1x1 and depthwise convolutions, weighted sums, squeeze and
excite, 3x3 pooling and doubling by repetition can be covered: BCPNet with any of its encoders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

from bcpnet.native.expressions import expression
from bcpnet.native.onnx_file import Graph
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.native.sizes import MapSize
from bcpnet.native.values import NO_ACTIVATION, Activation, Value

_MOST_TERMS = 3  # of a weighted sum: layers.h has so many sources
_MOST_STEPS = 1000


class Sampling(IntEnum):
    """How a source is read, as in layers.h: as it is, doubled by repetition, the 3x3 maximum at stride 2."""

    SAME, UPSAMPLED, POOLED = range(3)


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
        channels, size: of its output; the gate of squeeze and excite is one pixel, of size None.
        front_channels, front_size: of the front, which the depthwise convolution reads; without one, of what is read.
        node: the name of the node in the file that makes its output.
        sources: of the front; of a step without depthwise convolution, its one input.
        frame_mean: what is taken off the frame, where that is the source.
        pool: the 3x3 maximum at stride 2 of the source, and nothing else.
        expand: 1x1 convolution in front, or the network's first convolution where the source is the frame.
        front_activation: after the weighted sum, where nothing is expanded.
        depthwise, project: the convolutions; None = left out.
        squeeze: `expand`, then `project`, of the source's mean pixel: the gate of squeeze and excite.
        gate: the step with the factors that the source's channels are multiplied by.
        residual: the step whose output is added.
    """

    channels: int
    size: MapSize | None
    front_channels: int
    front_size: MapSize | None
    node: str
    sources: tuple[Source, ...] = ()
    frame_mean: float = 0.0
    pool: bool = False
    expand: Value | None = None
    front_activation: Activation = NO_ACTIVATION
    depthwise: Value | None = None
    project: Value | None = None
    squeeze: bool = False
    gate: int | None = None
    residual: int | None = None


def fuse(graph: Graph) -> list[Step]:
    """The steps, the last of which makes the logits.

    Raises:
        UnsupportedError: something that the engine was not written for; the text names the node.
    """
    return _Cover(_merged(expression(graph))).steps


def _in_order(output: Value) -> list[Value]:
    """All that `output` is made of and itself, inputs before what is made of them; without recursion."""
    found: list[Value] = []
    seen: set[int] = set()
    waiting = [(output, False)]
    while waiting:
        value, inputs_done = waiting.pop()
        if inputs_done:
            found.append(value)
        elif id(value) not in seen:
            seen.add(id(value))
            waiting.append((value, True))
            waiting += [(one, False) for one in reversed(value.inputs)]
    return found


def _merged(output: Value) -> Value:
    """The expression with activations inside the convolutions before them, sums flat and factors in their terms."""
    merged: dict[int, Value] = {}
    for value in _in_order(output):
        inputs = tuple(merged[id(one)] for one in value.inputs)
        same = replace(value, inputs=inputs)
        if value.made_by == "activation" and inputs[0].made_by in ("conv", "sum"):
            if inputs[0].activation != NO_ACTIVATION:
                raise UnsupportedError(f"two activations in a row, node {value.node}")
            same = replace(inputs[0], activation=value.activation, node=value.node)
        elif value.made_by == "scale" and inputs[0].made_by == "scale":
            same = replace(inputs[0], factor=inputs[0].factor * value.factor)
        elif value.made_by == "sum":
            flat = [term for one in inputs for term in (one.inputs if _weighted_sum(one) else (one,))]
            # What is longer is no front of the engine; left as it is, sums of sums do not grow without end.
            same = replace(same, inputs=tuple(flat) if len(flat) <= _MOST_TERMS else inputs)
        merged[id(value)] = same
    return merged[id(output)]


def _weighted_sum(value: Value) -> bool:
    """Whether this is a sum of scaled maps, which may be taken apart; a block's shortcut may not."""
    is_bare_sum = value.made_by == "sum" and value.activation == NO_ACTIVATION
    return is_bare_sum and all(term.made_by == "scale" for term in value.inputs)


class _Cover:
    """Steps that compute an expression; each value that is needed twice is computed once."""

    def __init__(self, output: Value) -> None:
        values = _in_order(output)
        self._needed = Counter(id(one) for value in values for one in value.inputs)
        # Which values have steps of their own: the output, and what those read.
        asked = {id(output)}

        def ask(value: Value) -> int:
            asked.add(id(value))
            return 0

        lengths: dict[int, int] = {}
        for value in reversed(values):
            if id(value) in asked:
                lengths[id(value)] = len(self._steps(value, ask))
        if sum(lengths.values()) > _MOST_STEPS:
            raise UnsupportedError(f"more than {_MOST_STEPS} layers")
        number: dict[int, int] = {}
        self.steps: list[Step] = []
        for value in values:
            if id(value) in asked:
                number[id(value)] = len(self.steps) + lengths[id(value)] - 1
                self.steps += self._steps(value, lambda one: number[id(one)], len(self.steps))

    def _steps(self, value: Value, step_of: Callable[[Value], int], first: int = 0) -> list[Step]:
        """The steps that compute `value`: one, or a gate as number `first` and what it is for."""
        steps: list[Step] = []
        if value.made_by == "conv" and not value.depthwise:
            steps = [self._product(value, None, step_of)]
        elif value.made_by == "pool":
            steps = [_read(value.inputs[0], step_of, pool=True)]
        elif value.made_by == "gated":
            steps = self._gated(value, None, step_of, first)
        elif value.made_by == "sum" and value.activation == NO_ACTIVATION and len(value.inputs) == 2:
            for one, other in (value.inputs, value.inputs[::-1]):
                if self._alone(one) and one.pointwise:
                    steps = [self._product(one, step_of(other), step_of)]
                elif self._alone(one) and one.made_by == "gated":
                    steps = self._gated(one, step_of(other), step_of, first)
                if steps:
                    break
            else:
                raise UnsupportedError(f"a sum of two values that are needed elsewhere too, node {value.node}")
        else:
            raise UnsupportedError(f"{value.made_by} in front of no depthwise convolution, node {value.node}")
        steps[-1] = replace(steps[-1], channels=value.channels, size=value.size, node=value.node)
        return steps

    def _alone(self, value: Value) -> bool:
        return self._needed[id(value)] == 1

    def _product(self, product: Value, residual: int | None, step_of: Callable[[Value], int]) -> Step:
        if product.frame_mean is not None:
            return replace(_of_frame(product), project=product)
        depthwise = product.inputs[0]
        if not (depthwise.depthwise and self._alone(depthwise)):
            return replace(_read(depthwise, step_of), project=product, residual=residual)
        front = depthwise.inputs[0]
        if front.made_by == "conv" and not front.depthwise and self._alone(front):
            reads = _of_frame(front) if front.frame_mean is not None else _read(front.inputs[0], step_of)
            step = replace(reads, expand=front)
        elif front.made_by == "sum" and self._alone(front) and len(front.inputs) <= _MOST_TERMS:
            sources = tuple(self._source(term, step_of) for term in front.inputs)
            step = replace(_blank(front), sources=sources, front_activation=front.activation)
        else:
            step = _read(front, step_of)
        step = replace(step, front_channels=front.channels, front_size=front.size)
        return replace(step, depthwise=depthwise, project=product, residual=residual)

    def _gated(self, value: Value, residual: int | None, step_of: Callable[[Value], int], first: int) -> list[Step]:
        scaled, gate = value.inputs
        squeeze = gate.inputs[0] if gate.inputs else gate
        if not (gate.pointwise and squeeze.pointwise and squeeze.inputs[0].made_by == "mean"):
            raise UnsupportedError(f"a gate that is not two 1x1 convolutions of the mean, node {value.node}")
        step = _read(scaled, step_of)
        of_gate = replace(step, channels=gate.channels, size=None, node=gate.node, squeeze=True)
        return [replace(of_gate, expand=squeeze, project=gate), replace(step, gate=first, residual=residual)]

    def _source(self, value: Value, step_of: Callable[[Value], int]) -> Source:
        """How a sum reads `value`: what can be done while reading is no step."""
        factor = value.factor if value.made_by == "scale" else 1.0
        value = value.inputs[0] if value.made_by == "scale" else value
        if value.made_by == "upsample":
            return Source(step_of(value.inputs[0]), Sampling.UPSAMPLED, factor)
        if value.made_by == "pool" and self._alone(value):
            return Source(step_of(value.inputs[0]), Sampling.POOLED, factor)
        return Source(step_of(value), factor=factor)


def _blank(value: Value) -> Step:
    return Step(value.channels, value.size, value.channels, value.size, value.node)


def _of_frame(conv: Value) -> Step:
    """A step that reads the frame; its front is the first convolution."""
    return replace(_blank(conv), sources=(Source(None),), frame_mean=conv.frame_mean or 0.0)


def _read(value: Value, step_of: Callable[[Value], int], pool: bool = False) -> Step:
    """A step that reads the map `value` and no other."""
    return replace(_blank(value), sources=(Source(step_of(value)),), pool=pool)
