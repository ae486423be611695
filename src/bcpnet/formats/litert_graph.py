"""The nodes of a fixed-size ONNX graph as LiteRT's operators, one by one.

8-bit integers stay what they are: uint8 less 128 is LiteRT's int8, weights are int8 with a scale per channel in both.
What ONNX computes in floats (the sums before a swish, the swish, the logits) LiteRT computes in floats too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema

from bcpnet.errors import InputError
from bcpnet.formats.litert_layers import append_conv, append_max_pool
from bcpnet.formats.litert_values import TO_INT8, Grid, Values, array_of, scalar

_OPS, _ACTIVATIONS = schema.BuiltinOperator, schema.ActivationFunctionType


def litert_content(model: ir.Model, metadata: dict[str, str], where: str) -> bytes:
    """The bytes of a .tflite file.

    Args:
        model: from `fixed_onnx.fixed_size`.
        metadata: texts that the file carries.
        where: the file's name, for errors.

    Raises:
        InputError: a node that has no counterpart here.
    """
    frame, logits = model.graph.inputs[0], model.graph.outputs[0]
    values = Values(frame)
    reader = frame.consumers()[0]
    grid = _grid(reader) if reader.op_type == "DequantizeLinear" else None
    number = values.frame(frame, grid)
    computed: set[ir.Node] = set()
    for node in model.graph:
        if node not in computed:
            computed |= _append(values, node, where)
    return values.file.content({str(frame.name): number}, {str(logits.name): values.floats(logits)}, metadata)


def _append(values: Values, node: ir.Node, where: str) -> set[ir.Node]:
    """The operator of `node`. Returns the nodes behind it that it computes too."""
    inputs, output = [value for value in node.inputs if value is not None], node.outputs[0]
    value = inputs[0]
    match node.op_type:
        case "Transpose" if values.is_frame(value) and tuple(node.attributes["perm"].as_ints()) == (0, 3, 1, 2):
            values.alias(output, value)
        case "Cast" if value.dtype == ir.DataType.UINT8 and output.dtype == ir.DataType.FLOAT:
            options = schema.CastOptionsT(schema.TensorType.UINT8, schema.TensorType.FLOAT32)
            values.file.operator(_OPS.CAST, [values.number(value)], values.cast(output, value), options)
        case "DequantizeLinear":
            if value.const_value is None:
                values.read(output, value, scalar(node.inputs[1]))
        case "QuantizeLinear":
            number = values.floats(value)
            values.file.operator(_OPS.QUANTIZE, [number], values.make(output, _grid(node)), schema.QuantizeOptionsT())
        case "Conv":
            return _append_conv(values, node, where)
        case "Add" if (quantise := _reader(output, "QuantizeLinear")) and _are_integers(values, inputs):
            numbers = [values.reads[each].number for each in inputs]
            made = values.make(quantise.outputs[0], _grid(quantise))
            values.file.operator(_OPS.ADD, numbers, made, schema.AddOptionsT())
            return {quantise}
        case "Add":
            _append_floats(values, node, _OPS.ADD, schema.AddOptionsT())
        case "Sub":
            _append_floats(values, node, _OPS.SUB, schema.SubOptionsT())
        case "Mul":
            _append_floats(values, node, _OPS.MUL, schema.MulOptionsT())
        case "Sigmoid":
            _append_floats(values, node, _OPS.LOGISTIC)
        case "HardSwish":
            _append_floats(values, node, _OPS.HARD_SWISH, schema.HardSwishOptionsT())
        case "HardSigmoid" if np.isclose([_float(node, "alpha"), _float(node, "beta")], [1 / 6, 1 / 2]).all():
            _append_hard_sigmoid(values, node)
        case "Relu":
            _append_floats(values, node, _OPS.RELU)
        case "Clip" if _is_relu6(node):
            values.file.operator(_OPS.RELU6, [values.floats(value)], values.make(output))
        case "ReduceMean" if len(inputs) == 2 and sorted(array_of(inputs[1]).tolist()) == [2, 3]:
            axes = values.file.constant(f"{output.name}/axes", np.array([1, 2], np.int32))
            options = schema.ReducerOptionsT(keepDims=True)
            values.file.operator(_OPS.MEAN, [values.floats(value), axes], values.make(output), options)
        case "MaxPool":
            append_max_pool(values, node)
        case "Resize" if _repeats_pixels(node):
            size = np.array(values.shape(output)[1:3], np.int32)
            options = schema.ResizeNearestNeighborOptionsT()
            _append_choice(values, node, _OPS.RESIZE_NEAREST_NEIGHBOR, {"size": size}, options)
        case "Slice" if len(inputs) < 5 or (array_of(inputs[4]) == 1).all():
            begin = np.zeros(4, np.int32)
            begin[array_of(inputs[3])] = array_of(inputs[1])
            parts = {"begin": begin[[0, 2, 3, 1]], "size": np.array(values.shape(output), np.int32)}
            _append_choice(values, node, _OPS.SLICE, parts, schema.SliceOptionsT())
        case _:
            raise InputError(
                f"{where}: not written: its node {node.op_type} ({node.name}) is none of those that bcpnet writes as "
                "LiteRT, which are those of the networks named bcpnet"
            )
    return set()


def _append_conv(values: Values, node: ir.Node, where: str) -> set[ir.Node]:
    """With the activation and the rounding behind it, where nothing else reads what lies between."""
    output, activation, computed = node.outputs[0], _ACTIVATIONS.NONE, set()
    relu, clip = _reader(output, "Relu"), _reader(output, "Clip")
    if relu is not None:
        activation, output = _ACTIVATIONS.RELU, relu.outputs[0]
        computed.add(relu)
    elif clip is not None and _is_relu6(clip):
        activation, output = _ACTIVATIONS.RELU6, clip.outputs[0]
        computed.add(clip)
    grid = None
    quantise = _reader(output, "QuantizeLinear")
    if quantise is not None and node.inputs[0] in values.reads:
        grid, output = _grid(quantise), quantise.outputs[0]
        computed.add(quantise)
    append_conv(values, node, output, grid, activation, where)
    return computed


def _append_floats(values: Values, node: ir.Node, code: int, options: Any = None) -> None:
    numbers = [values.floats(value) for value in node.inputs if value is not None]
    values.file.operator(code, numbers, values.make(node.outputs[0]), options)


def _append_hard_sigmoid(values: Values, node: ir.Node) -> None:
    """ReLU6(x + 3) / 6: LiteRT has no operator of that name."""
    (value,), output = node.inputs, node.outputs[0]
    assert value is not None
    three = values.file.constant(f"{output.name}/three", np.array([3], np.float32))
    sixth = values.file.constant(f"{output.name}/sixth", np.array([1 / 6], np.float32))
    clipped = values.file.tensor(f"{output.name}/clipped", values.shape(output), np.float32)
    values.file.operator(
        _OPS.ADD,
        [values.floats(value), three],
        clipped,
        schema.AddOptionsT(fusedActivationFunction=_ACTIVATIONS.RELU6),
    )
    values.file.operator(_OPS.MUL, [clipped, sixth], values.make(output), schema.MulOptionsT())


def _append_choice(values: Values, node: ir.Node, code: int, parts: dict[str, Any], options: Any) -> None:
    """An operator whose output holds values of its input, in floats or integers as these are."""
    value, output = node.inputs[0], node.outputs[0]
    assert value is not None
    grid = values.grid(value)
    number = values.number(value) if grid else values.floats(value)
    constants = [values.file.constant(f"{output.name}/{name}", array) for name, array in parts.items()]
    values.file.operator(code, [number, *constants], values.make(output, grid), options)


def _are_integers(values: Values, inputs: Sequence[ir.Value]) -> bool:
    """Whether all are integers, each times the scale of its tensor."""
    reads = [values.reads.get(value) for value in inputs]
    return all(read is not None and read.scale == read.grid.scale for read in reads)


def _grid(node: ir.Node) -> Grid:
    """Of a QuantizeLinear or DequantizeLinear, for int8."""
    return Grid(scalar(node.inputs[1]), int(scalar(node.inputs[2])) - TO_INT8)


def _reader(value: ir.Value, op_type: str) -> ir.Node | None:
    """The node that reads `value`, if it is the only one and of that kind."""
    readers = value.consumers()
    is_it = len(readers) == 1 and readers[0].op_type == op_type and not value.is_graph_output()
    return readers[0] if is_it else None


def _is_relu6(node: ir.Node) -> bool:
    return len(node.inputs) == 3 and (scalar(node.inputs[1]), scalar(node.inputs[2])) == (0, 6)


def _repeats_pixels(node: ir.Node) -> bool:
    """Whether an output pixel is the one at its place, scaled and rounded down: what LiteRT's nearest does."""
    wanted = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return all(node.attributes.get_string(name) == text for name, text in wanted.items())


def _float(node: ir.Node, name: str) -> float:
    return node.attributes[name].as_float() if name in node.attributes else np.nan
