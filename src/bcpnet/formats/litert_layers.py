"""Convolutions and max-pools as LiteRT's operators, in floats or in 8-bit integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema

from bcpnet.errors import InputError
from bcpnet.formats.litert_values import Grid, Values, array_of, integers_of

_OPS, _PADDING = schema.BuiltinOperator, schema.Padding


def append_conv(
    values: Values, node: ir.Node, output: ir.Value, grid: Grid | None, activation: int, where: str
) -> None:
    """A convolution, ordinary or depthwise.

    Args:
        values: where tensors are.
        node: the Conv.
        output: the value that it writes: its own, or that of the nodes behind it that it computes too.
        grid: of `output`, in 8-bit integers; None: in floats.
        activation: a number of LiteRT's ActivationFunctionType, of those nodes.
        where: the file's name, for errors.

    Raises:
        InputError: a convolution in groups that is not depthwise.
    """
    value, weight = node.inputs[0], node.inputs[1]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    assert value is not None
    assert weight is not None
    groups, kernel = node.attributes.get_int("group", 1), array_of(weight)
    is_depthwise = groups > 1
    if is_depthwise and (kernel.shape[1] > 1 or groups != values.shape(value)[3]):
        raise InputError(f"{where}: not written: {node.name} is a convolution in groups, which LiteRT has not")
    axes, channel_axis = ((1, 2, 3, 0), 3) if is_depthwise else ((0, 2, 3, 1), 0)
    name, name_of_bias = f"{output.name}/weight", f"{output.name}/bias"
    if grid is None:
        number, pad = values.floats(value), None
        weights = values.file.constant(name, np.ascontiguousarray(kernel.transpose(axes)))
        biases = np.zeros(len(kernel), np.float32) if bias is None else array_of(bias)
        bias_number = values.file.constant(name_of_bias, biases)
    else:
        read = values.reads[value]
        number, pad = read.number, read.grid
        integers, scales = integers_of(weight)
        of_weights = scales * np.float32(read.scale / read.grid.scale)
        laid_out = np.ascontiguousarray(integers.transpose(axes))
        weights = values.file.constant(name, laid_out, of_weights, axis=channel_axis)
        biases = np.zeros(len(kernel), np.int32) if bias is None else integers_of(bias)[0]
        bias_number = values.file.constant(name_of_bias, biases, scales * np.float32(read.scale))
    size_hw = values.shape(value)[1:3]
    number, padding = _padded(values, node, number, pad, size_hw, (kernel.shape[2], kernel.shape[3]))
    (stride_h, stride_w), (dilation_h, dilation_w) = _pair(node, "strides"), _pair(node, "dilations")
    common: dict[str, Any] = {
        "padding": padding,
        "strideH": stride_h,
        "strideW": stride_w,
        "dilationHFactor": dilation_h,
        "dilationWFactor": dilation_w,
        "fusedActivationFunction": activation,
    }
    made = values.make(output, grid)
    if is_depthwise:
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=len(kernel) // groups, **common)
        values.file.operator(_OPS.DEPTHWISE_CONV_2D, [number, weights, bias_number], made, options)
    else:
        options = schema.Conv2DOptionsT(**common)
        values.file.operator(_OPS.CONV_2D, [number, weights, bias_number], made, options)


def append_max_pool(values: Values, node: ir.Node) -> None:
    """A max-pool of floats or of integers, as its input is."""
    value = node.inputs[0]
    assert value is not None
    grid = values.grid(value)
    number = values.number(value) if grid else values.floats(value)
    height, width = node.attributes["kernel_shape"].as_ints()
    number, padding = _padded(values, node, number, grid, values.shape(value)[1:3], (height, width), smallest=True)
    stride_h, stride_w = _pair(node, "strides")
    options = schema.Pool2DOptionsT(
        padding=padding, strideH=stride_h, strideW=stride_w, filterHeight=height, filterWidth=width
    )
    values.file.operator(_OPS.MAX_POOL_2D, [number], values.make(node.outputs[0], grid), options)


def _padded(
    values: Values,
    node: ir.Node,
    number: int,
    grid: Grid | None,
    size_hw: tuple[int, ...],
    kernel_hw: tuple[int, int],
    smallest: bool = False,
) -> tuple[int, int]:
    """The tensor to read, and LiteRT's padding of it: where "SAME" is not what `node` pads, a padded copy.

    Pads are zeros, or with `smallest` what no maximum is changed by.
    """
    top, left, bottom, right = node.attributes.get_ints("pads", (0, 0, 0, 0))
    if not any((top, left, bottom, right)):
        return number, _PADDING.VALID
    steps = zip(size_hw, kernel_hw, _pair(node, "strides"), _pair(node, "dilations"), strict=True)
    if [_same(*step) for step in steps] == [(top, bottom), (left, right)]:
        return number, _PADDING.SAME
    name = str(node.outputs[0].name)
    pads = values.file.constant(f"{name}/pads", np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
    value = node.inputs[0]
    assert value is not None
    count, height, width, channels = values.shape(value)
    shape = (count, height + top + bottom, width + left + right, channels)
    padded = values.file.tensor(f"{name}/padded", shape, np.float32 if grid is None else np.int8, *(grid or ()))
    if not smallest:
        return values.file.operator(_OPS.PAD, [number, pads], padded, schema.PadOptionsT()), _PADDING.VALID
    if grid is None:
        least = values.file.constant(f"{name}/least", np.array([np.finfo(np.float32).min], np.float32))
    else:
        least = values.file.constant(f"{name}/least", np.array([-128], np.int8), *grid)
    return values.file.operator(_OPS.PADV2, [number, pads, least], padded, schema.PadV2OptionsT()), _PADDING.VALID


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """What "SAME" pads along an axis, before and after."""
    reach = (kernel - 1) * dilation + 1
    total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _pair(node: ir.Node, name: str) -> tuple[int, int]:
    height, width = node.attributes.get_ints(name, (1, 1))
    return height, width
