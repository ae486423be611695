"""ONNX -> LiteRT, the runtime of phones that was TensorFlow Lite: one .tflite file for frames of one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from bcpnet.formats.agreement import Frame, Runtime, onnx_runtime, require_agreement
from bcpnet.formats.fixed_onnx import fixed_size
from bcpnet.formats.litert_graph import litert_content
from bcpnet.metadata import KEY
from bcpnet.storage.files import atomic_path

_LEAST_SAME = 0.999  # of the pixels, in floats: the rest are ties of two classes
# Runtimes round the same integers differently, and LiteRT from machine to machine: up to 1 % of the pixels changed on
# small frames, about what 8 bits change in the first place. A wrong graph changes far more.
_LEAST_SAME_INT8 = 0.98


def write_litert(source: Path, size_hw: tuple[int, int], out: Path) -> float:
    """Writes the network of `source` as LiteRT: in floats, or in 8-bit integers where `source` is.

    Input "frames": 1 x H x W x 3 uint8, RGB. Output "logits": 1 x h x w x K float32, channels last. The metadata
    (classes, colours, preprocessing, provenance) is the file's metadata "bcpnet", as JSON.

    Args:
        source: an ONNX file written by `bcpnet export`, for any size.
        size_hw: height and width in pixels, each at least 32.
        out: path of the file; written as a whole, and only if LiteRT's class maps agree with those of `source`.

    Returns:
        The share of pixels whose class is the same.

    Raises:
        InputError: `source` is not such a file or has a node of another kind, the class maps differ, or `out` cannot be
            written.
    """
    model = fixed_size(source, size_hw)
    content = litert_content(model, {KEY: model.metadata_props[KEY]}, str(out))
    is_int8 = any(node.op_type == "QuantizeLinear" for node in model.graph)
    with atomic_path(out) as temporary:
        temporary.write_bytes(content)
        least = _LEAST_SAME_INT8 if is_int8 else _LEAST_SAME
        return require_agreement(onnx_runtime(source), litert_runtime(temporary), size_hw, least, out)


def litert_runtime(path: Path) -> Runtime:
    """LiteRT on one thread."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    frames, logits = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(frame: Frame) -> npt.NDArray[np.float32]:
        interpreter.set_tensor(frames, frame[None])
        interpreter.invoke()
        return np.ascontiguousarray(interpreter.get_tensor(logits)[0].transpose(2, 0, 1))

    return run
