"""ONNX -> ONNX in 8-bit integers: static post-training quantisation, calibrated on frames, for CPUs.

Activations become uint8 with one scale per tensor, weights int8 with one per output channel (Jacob et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime as ort

from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
from bcpnet.errors import InputError
from bcpnet.frames.preprocess import network_size_hw, preprocess
from bcpnet.metadata import KEY, Metadata
from bcpnet.onnx.quantised_graph import Grid, activations, insert_qdq, take_bytes
from bcpnet.storage.files import atomic_path

# An activation's range leaves out this share of each frame's values at either end; they saturate.
_OUTLIERS = 1e-4

Images = Sequence[npt.NDArray[np.uint8]]


def evenly(total: int, at_most: int = 128) -> list[int]:
    """Indices of up to `at_most` of `total` frames, evenly spread."""
    return [round(index) for index in np.linspace(0, total - 1, min(total, at_most)).tolist()]


def quantise_onnx(
    source: Path,
    frames: Iterable[npt.NDArray[np.uint8]],
    out: Path,
    calibrated_on: str,
    report: Callable[[int], None] | None = None,
) -> float:
    """Writes the network of `source` with 8-bit weights and activations; inputs, outputs and metadata stay.

    Args:
        source: an ONNX file written by `bcpnet export`, in floats.
        frames: H x W x 3 uint8, RGB, of the kind that the network is for; some dozen are enough. Training images:
            a figure on images that the ranges were fitted to would say too much.
        out: path of the file; written as a whole.
        calibrated_on: what the frames are, for the provenance: "128 CamVid train images".
        report: called after every frame with the number done.

    Returns:
        The share of logit cells, over all frames, whose class is the one of `source`.

    Raises:
        InputError: `source` is not such a file, there are no frames, or `out` cannot be written.
    """
    exact = OnnxRuntimeBackend(source)
    model = ir.load(source)
    if any(node.op_type == "QuantizeLinear" for node in model.graph):
        raise InputError(f"{source}: is quantised already")
    images = [preprocess(frame, network_size_hw(_size_hw(frame), exact.metadata.short_side)) for frame in frames]
    if not images:
        raise InputError("no frames to calibrate on: give some images of the kind that the network was trained on")
    frame, pixels = take_bytes(model.graph)
    values = activations(model.graph, frame)
    grids = _calibrate(model, values, images, report)
    insert_qdq(model, {frame: pixels}, dict(zip(values, grids, strict=True)))
    model.metadata_props[KEY] = _describe(exact.metadata, calibrated_on).to_json()
    with atomic_path(out) as temporary:
        ir.save(model, temporary)
        rounded = OnnxRuntimeBackend(temporary)
        same = [(exact(image[None]).argmax(1) == rounded(image[None]).argmax(1)).ravel() for image in images]
    return float(np.concatenate(same).mean())


def _size_hw(frame: npt.NDArray[np.uint8]) -> tuple[int, int]:
    return frame.shape[0], frame.shape[1]


def _describe(metadata: Metadata, calibrated_on: str) -> Metadata:
    how = f"quantised to 8 bits (weights to 7), calibrated on {calibrated_on}, ONNX Runtime {ort.__version__}"
    return replace(metadata, provenance=f"{metadata.provenance}; {how}")


def _calibrate(
    model: ir.Model, values: Sequence[ir.Value], images: Images, report: Callable[[int], None] | None
) -> list[Grid]:
    """For each value the grid that spans, on average over the images, all but its outliers."""
    outputs = model.graph.outputs
    n_outputs = len(outputs)
    outputs.extend(values)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    content = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    del outputs[n_outputs:]
    input_name = session.get_inputs()[0].name
    ends = np.zeros((len(values), 2))
    for done, image in enumerate(images, 1):
        arrays = session.run(None, {input_name: image[None]})[n_outputs:]
        for end, array in zip(ends, arrays, strict=True):
            low, high = int(_OUTLIERS * array.size), array.size - 1 - int(_OUTLIERS * array.size)
            end += np.partition(array.ravel(), (low, high))[[low, high]]
        if report:
            report(done)
    return [Grid.spanning(low, high) for low, high in ends / len(images)]
