"""A network as fused steps for the C engine: front, depthwise convolution and 1x1 convolution in one.

Steps are found from the output backwards. Networks of 1x1 and depthwise convolutions, weighted sums, squeeze and
excite, 3x3 pooling and doubling by repetition can be covered: BCPNet with any of its encoders.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import IntEnum

from bcpnet.native.expressions import NO_ACTIVATION, Activation, UnsupportedError, Value, expression
from bcpnet.native.onnx_file import Graph


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
        sources: of the front; of a step without depthwise convolution, its one input.
        pool: the 3x3 maximum at stride 2 of the source, and nothing else.
        expand: 1x1 convolution in front, or the network's first convolution where the source is the frame.
        front_activation: after the weighted sum, where nothing is expanded.
        depthwise, project: the convolutions; None = left out.
        squeeze: `expand`, then `project`, of the source's mean pixel: the gate of squeeze and excite.
        gate: the step with the factors that the source's channels are multiplied by.
        residual: the step whose output is added.
        node: the name of the node in the file that makes its output.
    """

    sources: tuple[Source, ...]
    pool: bool = False
    expand: Value | None = None
    front_activation: Activation = NO_ACTIVATION
    depthwise: Value | None = None
    project: Value | None = None
    squeeze: bool = False
    gate: int | None = None
    residual: int | None = None
    node: str = ""


def fuse(graph: Graph) -> tuple[list[Step], float]:
    """The steps, the last of which makes the logits, and the mean that is taken off the frame.

    Raises:
        UnsupportedError: something that no step does.
    """
    try:
        output, mean = expression(graph)
        cover = _Cover(output)
        cover.emit(cover.output)
        for step in cover.steps:
            _check(step, cover.steps)
    except (LookupError, TypeError) as error:  # files that others wrote
        raise UnsupportedError(f"a graph of another form: {error}") from error
    return cover.steps, mean


def channels_of(step: Step, steps: list[Step]) -> int:
    """Channels of a step's output."""
    while step.project is None:
        source = step.sources[0]
        assert source.step is not None
        step = steps[source.step]
    return len(step.project.weights)


def _check(step: Step, steps: list[Step]) -> None:
    """Raises UnsupportedError where channels do not go together: the engine reads memory by them."""
    given = [3 if source.step is None else channels_of(steps[source.step], steps) for source in step.sources]
    ends = [channels_of(steps[index], steps) for index in (step.residual, step.gate) if index is not None]
    chain, channels = [], given[0]
    for conv in (step.expand, step.depthwise, step.project):
        if conv is not None:
            chain += [len(conv.bias) == len(conv.weights), channels == len(conv.weights) or not conv.depthwise]
            chain.append(conv.depthwise or conv.weights.shape[1] == channels)
            channels = len(conv.weights)
    if not all(chain) or len(set(given)) > 1 or any(count != channels for count in ends):
        raise UnsupportedError(f"convolutions whose channels do not go together, node {step.node}")


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
            if inputs[0].activation != NO_ACTIVATION:
                raise UnsupportedError(f"two activations in a row, node {value.node}")
            merged = replace(inputs[0], activation=value.activation)
        elif value.made_by == "sum":
            flat = [
                term
                for one in inputs
                for term in (
                    one.inputs if one.made_by == "sum" and one.activation == NO_ACTIVATION and _scaled(one) else (one,)
                )
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
        elif value.made_by == "sum" and value.activation == NO_ACTIVATION and len(value.inputs) == 2:
            for one, other in (value.inputs, value.inputs[::-1]):
                if self._alone(one) and (one.pointwise or one.made_by == "gated"):
                    compute = self._product if one.pointwise else self._gated
                    step = compute(one, self.emit(other))
                    break
            else:
                raise UnsupportedError(f"a sum of two values that are needed elsewhere too, node {value.node}")
        else:
            raise UnsupportedError(f"{value.made_by} in front of no depthwise convolution, node {value.node}")
        self.steps.append(replace(step, node=value.node))
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
            raise UnsupportedError(f"a gate that is not two 1x1 convolutions of the mean, node {value.node}")
        source = Source(self.emit(scaled))
        self.steps.append(Step((source,), expand=squeeze, project=gate, squeeze=True, node=gate.node))
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
