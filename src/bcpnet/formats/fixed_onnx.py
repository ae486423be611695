"""ONNX for frames of any size -> ONNX for one frame of one size, without a node that computes sizes.

What compilers for NPUs and phones read: every shape is a number, and nothing depends on the input's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from bcpnet.backends.onnxruntime import open_session
from bcpnet.errors import InputError
from bcpnet.formats.agreement import onnx_runtime, require_agreement
from bcpnet.storage.files import atomic_path

_LEAST_SAME = 0.999  # of the pixels: the rest are ties of two classes


def write_fixed_onnx(source: Path, size_hw: tuple[int, int], out: Path) -> float:
    """Writes the network of `source` for one frame of H x W pixels: 1 x H x W x 3 uint8 in, 1 x K x h x w logits out.

    Names, metadata and 8-bit integers stay as they are in `source`.

    Args:
        source: an ONNX file written by `bcpnet export`, for any size; in floats or in 8-bit integers.
        size_hw: height and width in pixels, each at least 32.
        out: path of the file; written as a whole, and only if its class maps are those of `source`.

    Returns:
        The share of pixels whose class is the same: 1, but for ties.

    Raises:
        InputError: `source` is not such a file, the class maps differ, or `out` cannot be written.
    """
    model = fixed_size(source, size_hw)
    with atomic_path(out) as temporary:
        ir.save(model, temporary)
        return require_agreement(onnx_runtime(source), onnx_runtime(temporary), size_hw, _LEAST_SAME, out)


def fixed_size(source: Path, size_hw: tuple[int, int]) -> ir.Model:
    """The network of `source` with all shapes as numbers. Raises InputError as `write_fixed_onnx`."""
    options = ort.SessionOptions()
    open_session(source, options)  # says what is wrong with the file
    model = ir.load(source)
    frames = model.graph.inputs[0]
    if frames.shape is None or any(isinstance(axis, int) for axis in frames.shape[:3]):
        raise InputError(f"{source}: takes frames of one size already; give the file it was made from")
    frames.shape = ir.Shape([1, *size_hw, 3])
    height, width = size_hw
    frames.doc_string = (
        f"RGB, 0 to 255: normalisation is in the file. Resize to {height} x {width} (rows, columns) first"
    )
    _forget_shapes(model)
    model = ShapeInferencePass()(model).model
    _compute_sizes(model, size_hw)
    _forget_shapes(model)  # those that hung on a size that was computed
    model = ShapeInferencePass()(model).model
    for node in list(model.graph):
        value = node.inputs[0] if node.op_type == "Slice" else None
        if value is not None and value.shape == node.outputs[0].shape:  # it cuts nothing off at this size
            _hand_over(node.outputs[0], value)
            model.graph.remove(node, safe=True)
    RemoveUnusedNodesPass()(model)
    return model


def _forget_shapes(model: ir.Model) -> None:
    """Of all but the input, with the names of axes in them."""
    for node in model.graph:
        for output in node.outputs:
            output.shape = None


def _compute_sizes(model: ir.Model, size_hw: tuple[int, int]) -> None:
    """Makes constants of all that is computed in int64: sizes, and nothing else in these networks."""
    graph = model.graph
    sizes = [value for node in graph for value in node.outputs if value.dtype == ir.DataType.INT64]
    if not sizes:
        return
    n_outputs = len(graph.outputs)
    graph.outputs.extend(sizes)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    content = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    del graph.outputs[n_outputs:]
    frame = {str(graph.inputs[0].name): np.zeros((1, *size_hw, 3), np.uint8)}
    arrays = session.run([str(value.name) for value in sizes], frame)
    for value, array in zip(sizes, arrays, strict=True):
        constant = ir.Value(name=f"{value.name}.at_this_size", const_value=ir.tensor(array))
        graph.register_initializer(constant)
        _hand_over(value, constant)
    RemoveUnusedNodesPass()(model)


def _hand_over(value: ir.Value, replacement: ir.Value) -> None:
    """Makes all that read `value` read `replacement`."""
    for node, index in tuple(value.uses()):
        node.replace_input_with(index, replacement)
