"""What a program sees that loads the file: named axes, and a sentence on input and output."""

from __future__ import annotations

import re

import onnx_ir as ir

from bcpnet.metadata import Metadata

_AXES = ("batch", "height", "width")  # of the frames
_STRIDED = re.compile(r"\(*(\w+) - 1\)*//(\d+)\)* \+ 1")  # a size behind that stride, as the exporter writes it


def describe(graph: ir.Graph, metadata: Metadata) -> None:
    """Names the axes of all values and says what input and output are, in place.

    Values in between keep their shapes, in names such as `height_stride_8`: ONNX Runtime computes a sum inside a
    convolution only where it knows that both have one shape.
    """
    (frames,), (logits,) = graph.inputs, graph.outputs
    assert frames.shape is not None
    names = {str(axis): name for axis, name in zip(frames.shape, _AXES, strict=False)}
    for value in (frames, *graph.initializers.values(), *(output for node in graph for output in node.outputs)):
        value.metadata_props.clear()  # the exporter's notes
        if value.shape is not None:
            value.shape = ir.Shape([axis if isinstance(axis, int) else _name(str(axis), names) for axis in value.shape])
    frames.doc_string = (
        "RGB, 0 to 255: normalisation is in the file. Height and width are at least 32. The network was trained with a "
        f"short side of {metadata.short_side} pixels: resize to that first"
    )
    logits.shape = ir.Shape(["batch", len(metadata.classes), "logits_height", "logits_width"])
    logits.doc_string = "of each class, in the order of the names in the metadata; resize to the frame, then argmax"


def _name(size: str, names: dict[str, str]) -> str:
    """The name of axes of that size, noted in `names`: equal sizes have one name."""
    strided = _STRIDED.fullmatch(size)
    if strided and strided[1] in names:
        return f"{names[strided[1]]}_stride_{strided[2]}"
    return names.setdefault(size, f"size_{len(names)}")
