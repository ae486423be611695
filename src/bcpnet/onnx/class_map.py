"""ONNX that returns logits -> ONNX that returns class maps, for programs without bcpnet.

The file upsamples all logits to the image's size, as runtimes can: slower than `frames.upsample`, with the same result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.tape import Tape

from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
from bcpnet.errors import InputError
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.storage.files import atomic_path

_CHECK_SHAPES = ((1, 32, 32, 3), (2, 97, 131, 3))
_TIES = 1e-3  # of the pixels, at most, where two classes are as good as equal


def write_class_map_onnx(source: Path, out: Path) -> float:
    """Writes the network of `source` with the output "class_map": N x H x W uint8, class ids at the frames' size.

    bcpnet's own backends read logits, and say so when they are given this file.

    Args:
        source: an ONNX file written by `bcpnet export`; quantised or not.
        out: path of the file; written as a whole, and only if it gives what `upsample_argmax` makes of the logits.

    Returns:
        The largest share of pixels that differed: ties of two classes.

    Raises:
        InputError: `source` is not such a file, the class maps differ, or `out` cannot be written.
    """
    backend = OnnxRuntimeBackend(source)
    model = ir.load(source)
    _append(model.graph)
    with atomic_path(out) as temporary:
        ir.save(model, temporary)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        session = ort.InferenceSession(temporary, options, providers=["CPUExecutionProvider"])
        generator = np.random.default_rng(0)
        differing = []
        for shape in _CHECK_SHAPES:
            images = generator.integers(0, 256, shape, np.uint8)
            expected = [upsample_argmax(logits, (shape[1], shape[2])) for logits in backend(images)]
            (class_maps,) = session.run(None, {session.get_inputs()[0].name: images})
            differing.append(float((class_maps != expected).mean()))
        if max(differing) > _TIES:
            raise InputError(f"{out}: not kept: {max(differing):.1%} of the pixels are not those of its logits")
    return max(differing)


def _append(graph: ir.Graph) -> None:
    """Resize and ArgMax behind the logits. Channels first: the layout that the most runtimes resize."""
    tape = Tape(graph)
    images, logits = graph.inputs[0], graph.outputs[0]
    n_and_k = tape.op("Shape", [logits], {"start": 0, "end": 2})
    size_hw = tape.op("Shape", [images], {"start": 1, "end": 3})
    full = tape.op("Concat", [n_and_k, size_hw], {"axis": 0})
    upsampled = tape.op("Resize", [logits, None, None, full], {"mode": "linear"})  # half-pixel centres: the default
    class_map = tape.op("Cast", [tape.op("ArgMax", [upsampled], {"axis": 1, "keepdims": 0})], {"to": ir.DataType.UINT8})
    class_map.name = "class_map"
    class_map.dtype = ir.DataType.UINT8
    assert images.shape is not None
    class_map.shape = ir.Shape(images.shape[:3])
    class_map.doc_string = "class ids, in the order of the names in the metadata, at the size of the frames"
    graph.outputs[0] = class_map
