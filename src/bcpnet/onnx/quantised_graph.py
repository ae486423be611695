"""A float ONNX graph -> the same in integers, as QuantizeLinear/DequantizeLinear pairs ("QDQ").

They stand where ONNX Runtime and OpenVINO fuse them into integer kernels: around every convolution and sum. What lies
between a weighted sum and its swish stays in floats, which both runtimes compute in one pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnx_ir.tape import Tape

# Weights keep to 7 bits: CPUs without VNNI add the products of 8-bit pairs in 16 bits, which 8-bit weights overflow.
_LARGEST_WEIGHT = 63
_LARGEST_BIAS = 2.0**26  # of an int32, in steps; only channels whose weights are next to nothing come near it

Floats = npt.NDArray[np.float32]


class Grid(NamedTuple):
    """Floats that 8 bits can say: scale * (integer - zero_point), for integers 0 to 255."""

    scale: float
    zero_point: int

    @staticmethod
    def spanning(low: float, high: float) -> Grid:
        """The grid from `low` to `high`; and to zero, which convolutions pad with."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = float(np.float32((high - low) / 255)) or 1.0
        return Grid(scale, round(-low / scale))

    def times(self, factor: float) -> Grid:
        """The grid of the same integers' values times `factor`."""
        return Grid(self.scale * factor, self.zero_point)


def take_bytes(graph: ir.Graph) -> tuple[ir.Value, Grid]:
    """Writes the normalisation at the graph's input as a DequantizeLinear, exactly, for convolutions to read the bytes.

    It stands before the transposition to channels first, where OpenVINO finds it.

    Returns:
        The normalised frame, and the grid that its values lie on.
    """
    frame = value = graph.inputs[0]
    scale, mean, replaced = 1.0, 0.0, []
    while len(readers := _readers(value)) == 1:
        (node,) = readers
        if node.op_type == "Transpose":
            frame = node.outputs[0]
        elif node.op_type == "Cast":
            replaced.append(node)
        elif node.op_type == "Sub" and (number := _number(node.inputs[1])) is not None:
            mean += number / scale
            replaced.append(node)
        elif (factor := _factor(node)) is not None:
            scale *= factor
            replaced.append(node)
        else:
            break
        value = node.outputs[0]
    for node in replaced:
        _hand_over(node.outputs[0].uses(), node.inputs[0])
    graph.remove(replaced, safe=True)
    grid = Grid(scale, round(mean))
    readers = _readers(graph.inputs[0])
    floats = _dequantise(graph, graph.inputs[0], grid)
    for node in readers:
        node.replace_input_with(0, floats)
    if frame is graph.inputs[0]:
        frame = floats
    frame.dtype = ir.DataType.FLOAT
    return frame, grid


def activations(graph: ir.Graph, frame: ir.Value) -> list[ir.Value]:
    """What convolutions read and write, after the clipping that follows; not `frame`, nor the graph's outputs."""
    found: dict[ir.Value, None] = {}
    for node in convolutions(graph):
        read, written = _value(node.inputs[0]), node.outputs[0]
        while (producer := read.producer()) is not None and _chooses(producer):
            read = _value(producer.inputs[0])
        consumers = written.consumers()
        if len(consumers) == 1 and _clips_at_zero(consumers[0]):
            written = consumers[0].outputs[0]
        found |= {value: None for value in (read, written) if value is not frame and not value.is_graph_output()}
    return list(found)


def convolutions(graph: ir.Graph) -> list[ir.Node]:
    """Of the graph, in its order."""
    return [node for node in graph if node.op_type == "Conv"]


def insert_qdq(
    model: ir.Model, frame: dict[ir.Value, Grid], grids: dict[ir.Value, Grid], means: dict[ir.Node, Floats]
) -> None:
    """Holds every value of `grids` in 8 bits, and all weights.

    Args:
        model: changed in place.
        frame: what `take_bytes` returned.
        grids: for each value of `activations` its grid.
        means: for each convolution the mean of every channel of its input, by which its bias is corrected.
    """
    graph = model.graph
    scales = {value: grid.scale for value, grid in frame.items()}  # of what convolutions read
    for value, grid in grids.items():
        readers = tuple(value.uses())
        _feed(graph, readers, _quantise(graph, value, grid), grid, scales)
    for node in convolutions(graph):
        _quantise_weights(graph, node, scales[_value(node.inputs[0])], means[node])
    RemoveUnusedNodesPass()(model)
    graph.sort()


def _feed(
    graph: ir.Graph,
    readers: Iterable[tuple[ir.Node, int]],
    integers: ir.Value,
    grid: Grid,
    scales: dict[ir.Value, float],
) -> None:
    """Makes `readers` read `integers`: as they are where values are only chosen, else as floats."""
    for node, index in readers:
        if _chooses(node) and index == 0:
            chosen = node.outputs[0]
            next_readers = tuple(chosen.uses())
            node.replace_input_with(0, integers)
            chosen.dtype = ir.DataType.UINT8
            _feed(graph, next_readers, chosen, grid, scales)
        elif (factor := _factor(node)) is not None:  # of a weighted sum: costs nothing inside the scale
            floats = _dequantise(graph, integers, grid.times(factor))
            scales[floats] = grid.scale * factor
            _hand_over(node.outputs[0].uses(), floats)
        else:
            floats = _dequantise(graph, integers, grid)
            scales[floats] = grid.scale
            node.replace_input_with(index, floats)


def _quantise(graph: ir.Graph, value: ir.Value, grid: Grid) -> ir.Value:
    """`value` in integers. They end at zero and at no more than `value` reached: clipping to that is not needed."""
    producer = value.producer()
    unclipped = producer.inputs[0] if producer is not None and _clips_at_zero(producer) else value
    integers = Tape(graph).op("QuantizeLinear", [unclipped, *_constants(graph, f"{value.name}.grid", grid)])
    integers.dtype = ir.DataType.UINT8
    return integers


def _dequantise(graph: ir.Graph, integers: ir.Value, grid: Grid) -> ir.Value:
    name = f"{integers.name}.read{len(integers.uses())}"
    floats = Tape(graph).op("DequantizeLinear", [integers, *_constants(graph, name, grid)])
    floats.dtype = ir.DataType.FLOAT
    return floats


def _constants(graph: ir.Graph, name: str, grid: Grid) -> tuple[ir.Value, ir.Value]:
    tape = Tape(graph)
    scale = tape.initializer(ir.tensor(np.float32(grid.scale), name=f"{name}.scale"))
    return scale, tape.initializer(ir.tensor(np.uint8(grid.zero_point), name=f"{name}.zero_point"))


def _quantise_weights(graph: ir.Graph, conv: ir.Node, input_scale: float, means: Floats) -> None:
    """int8 weights, and an int32 bias on the grid that their products with the input lie on."""
    weights = _array(conv.inputs[1])
    bias = _array(conv.inputs[2]) if len(conv.inputs) > 2 else np.zeros(len(weights), np.float32)
    largest = np.abs(weights).max((1, 2, 3))
    scales = np.maximum(largest / _LARGEST_WEIGHT, np.abs(bias) / (input_scale * _LARGEST_BIAS))
    scales = np.where(scales > 0, scales, 1).astype(np.float32)
    steps = scales[:, None, None, None]
    rounded = round_kernels(weights / steps)
    bias = bias - shift_of_means(rounded * steps - weights, means)
    bias_scales = (scales * np.float32(input_scale)).astype(np.float32)
    integers: list[npt.NDArray[np.int8] | npt.NDArray[np.int32]] = [rounded.astype(np.int8)]
    integers.append(np.round(bias / bias_scales).astype(np.int32))
    tape = Tape(graph)
    conv.resize_inputs(3)
    for index, array, of_channel in zip((1, 2), integers, (scales, bias_scales), strict=True):
        parts = {"integers": array, "scale": of_channel, "zero_point": np.zeros(len(array), array.dtype)}
        name = f"{conv.outputs[0].name}.{index}"
        inputs = [tape.initializer(ir.tensor(part, name=f"{name}.{kind}")) for kind, part in parts.items()]
        conv.replace_input_with(index, tape.op("DequantizeLinear", inputs, {"axis": 0}))


def shift_of_means(error: Floats, means: Floats) -> Floats:
    """By how much an error of its weights moves the mean of each of a convolution's outputs (Nagel et al. 2019, 4.2).

    What follows ReLU6 is far from zero on average, so that this is most of what rounding weights costs: it is the same
    everywhere in the image, where the rest is noise.

    Args:
        error: K x C/groups x k x k.
        means: C, of the input's channels. What is padded around them is left out.
    """
    groups = len(means) // error.shape[1]
    of_output = np.repeat(means.reshape(groups, -1), len(error) // groups, axis=0)
    shift: Floats = (error.sum((2, 3)) * of_output).sum(1)
    return shift


def round_kernels(weights: Floats) -> Floats:
    """To whole numbers; in a depthwise kernel so that their sum is the nearest to that of the kernel.

    What such a kernel reads is nearly constant over its nine taps. Where large weights cancel each other, the errors of
    rounding them one by one would be most of what is left.
    """
    rounded = np.round(weights)
    if weights.shape[1] > 1:
        return rounded
    for kernel, exact in zip(rounded.reshape(len(rounded), -1), weights.reshape(len(weights), -1), strict=True):
        missing = int(np.round(exact.sum()) - kernel.sum())
        step = np.sign(missing)
        gain = step * (exact - kernel)  # the taps that are rounded furthest to the wrong side go to the other
        gain[np.abs(kernel + step) > _LARGEST_WEIGHT] = -np.inf
        kernel[np.argsort(-gain)[: abs(missing)]] += step
    return rounded


def _readers(frame: ir.Value) -> list[ir.Node]:
    """Who reads more of the frame than its size."""
    return [node for node in frame.consumers() if node.op_type != "Shape"]


def _hand_over(readers: Iterable[tuple[ir.Node, int]], value: ir.Value | None) -> None:
    for node, index in tuple(readers):
        node.replace_input_with(index, value)


def _chooses(node: ir.Node) -> bool:
    """Whether its output holds values of its input, unchanged, chosen by their order or place."""
    is_nearest = node.op_type == "Resize" and node.attributes.get_string("mode") == "nearest"
    return is_nearest or node.op_type in ("MaxPool", "Slice")


def _clips_at_zero(node: ir.Node) -> bool:
    """ReLU, or a clipping to 0 ... something, as ReLU6."""
    return node.op_type == "Relu" or (node.op_type == "Clip" and len(node.inputs) > 1 and _number(node.inputs[1]) == 0)


def _factor(node: ir.Node) -> float | None:
    """What `node` multiplies by, where that is one positive number."""
    number = _number(node.inputs[1]) if node.op_type == "Mul" else None
    return number if number is not None and number > 0 else None


def _number(value: ir.Value | None) -> float | None:
    """The constant `value`, where it is one number."""
    constant = None if value is None else value.const_value
    return float(constant.numpy().item()) if constant is not None and constant.size == 1 else None


def _array(value: ir.Value | None) -> Floats:
    constant = _value(value).const_value
    assert constant is not None
    array: Floats = constant.numpy()
    return array


def _value(value: ir.Value | None) -> ir.Value:
    assert value is not None
    return value
