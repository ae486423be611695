"""ONNX -> ONNX in 8-bit integers: static post-training quantisation, calibrated on frames, for CPUs.

Activations become uint8 with one scale per tensor, weights int8 with one per output channel (Jacob et al. 2018). Biases
are corrected by what rounded weights add to the mean of each output (Nagel et al. 2019).
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
from bcpnet.onnx.quantised_graph import Floats, Grid, activations, convolutions, insert_qdq, take_bytes
from bcpnet.storage.files import atomic_path

# An activation's range leaves out this share of each frame's values at either end; they saturate.
_OUTLIERS = 1e-4
# The images are darkened to these in turn: what is right on average in daylight need not be at dusk.
_EXPOSURES = (1.0, 0.7, 0.5, 0.25)

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
    grids, means = _calibrate(model, values, images, report)
    insert_qdq(model, {frame: pixels}, grids, means)
    model.metadata_props[KEY] = _describe(exact.metadata, calibrated_on).to_json()
    with atomic_path(out) as temporary:
        ir.save(model, temporary)
        rounded = OnnxRuntimeBackend(temporary)
        same = [(exact(image[None]).argmax(1) == rounded(image[None]).argmax(1)).ravel() for image in images]
    return float(np.concatenate(same).mean())


def _size_hw(frame: npt.NDArray[np.uint8]) -> tuple[int, int]:
    return frame.shape[0], frame.shape[1]


def _describe(metadata: Metadata, calibrated_on: str) -> Metadata:
    exposures = ", ".join(map(str, _EXPOSURES))
    how = f"calibrated on {calibrated_on} in turn at exposures {exposures}, ONNX Runtime {ort.__version__}"
    return replace(metadata, provenance=f"{metadata.provenance}; quantised to 8 bits (weights to 7), {how}")


def _calibrate(
    model: ir.Model, values: Sequence[ir.Value], images: Images, report: Callable[[int], None] | None
) -> tuple[dict[ir.Value, Grid], dict[ir.Node, Floats]]:
    """For each value the grid that spans all but its outliers, for each convolution the means of its input's channels;
    on average over the images, in all lights.
    """
    reads = {conv: value for conv in convolutions(model.graph) if (value := conv.inputs[0]) is not None}
    ends = {value: np.zeros(2) for value in values}
    sums = {value: np.zeros(1) for value in reads.values()}
    wanted = list(dict.fromkeys((*ends, *sums)))
    run = _session(model, wanted)
    for index, image in enumerate(images):
        arrays = run(darkened(image, _EXPOSURES[index % len(_EXPOSURES)]))
        for value, array in zip(wanted, arrays, strict=True):
            if value in ends:
                low, high = int(_OUTLIERS * array.size), array.size - 1 - int(_OUTLIERS * array.size)
                ends[value] += np.partition(array.ravel(), (low, high))[[low, high]]
            if value in sums:
                sums[value] = sums[value] + array.mean((0, 2, 3))
        if report:
            report(index + 1)
    grids = {value: Grid.spanning(*(end / len(images)).tolist()) for value, end in ends.items()}
    return grids, {conv: (sums[value] / len(images)).astype(np.float32) for conv, value in reads.items()}


def darkened(image: npt.NDArray[np.uint8], exposure: float) -> npt.NDArray[np.uint8]:
    """The image with all its values, which stay bytes, times `exposure`."""
    return np.round(image * np.float32(exposure)).astype(np.uint8)


def _session(model: ir.Model, values: Sequence[ir.Value]) -> Callable[[npt.NDArray[np.uint8]], list[Floats]]:
    """What computes `values` of an image."""
    outputs = model.graph.outputs
    n_outputs = len(outputs)
    outputs.extend(values)
    content = ir.to_proto(model).SerializeToString()
    del outputs[n_outputs:]
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    input_name = session.get_inputs()[0].name

    def run(image: npt.NDArray[np.uint8]) -> list[Floats]:
        return list(session.run(None, {input_name: image[None]})[n_outputs:])

    return run
