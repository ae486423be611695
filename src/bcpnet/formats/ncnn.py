"""ONNX -> NCNN, a runtime for phones and boards without dependencies: OUT.param and OUT.bin, converted by pnnx."""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import ncnn
import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pnnx
from onnx_ir.passes.common import RemoveUnusedNodesPass

from bcpnet.errors import InputError
from bcpnet.formats.agreement import Frame, Runtime, onnx_runtime, require_agreement
from bcpnet.formats.fixed_onnx import fixed_size
from bcpnet.storage.files import atomic_path

INPUT, OUTPUT = "in0", "out0"  # pnnx's names
_LEAST_SAME = 0.999  # of the pixels


def write_ncnn(source: Path, size_hw: tuple[int, int], out: Path) -> float:
    """Writes the network of `source` as NCNN: the graph to `out`, the weights beside it with the suffix .bin.

    Input "in0": 3 x H x W float32, RGB from 0 to 255, as ncnn::Mat::from_pixels makes it: normalisation is in the file.
    Output "out0": K x h x w float32 logits. NCNN has no place for metadata.

    Args:
        source: an ONNX file written by `bcpnet export`, for any size, in floats.
        size_hw: height and width in pixels, each at least 32.
        out: path of the graph, NAME.param; both files are written only if NCNN's class maps are those of
            `source`.

    Returns:
        The share of pixels whose class is the same.

    Raises:
        InputError: `source` is not such a file, pnnx fails, the class maps differ, or the files cannot be written.
    """
    model = fixed_size(source, size_hw)
    if any(node.op_type == "QuantizeLinear" for node in model.graph):
        raise InputError(f"{source}: is in 8-bit integers; for NCNN give the weights in floats that it was made from")
    _take_planes(model, size_hw)
    with (
        TemporaryDirectory() as folder,
        atomic_path(out.with_suffix(".bin")) as weights,
        atomic_path(out) as graph,
    ):
        converted = _convert(model, Path(folder), source)
        graph.write_bytes(converted.read_bytes())
        weights.write_bytes(converted.with_suffix(".bin").read_bytes())
        return require_agreement(onnx_runtime(source), ncnn_runtime(graph, weights), size_hw, _LEAST_SAME, out)


def ncnn_runtime(graph: Path, weights: Path) -> Runtime:
    """NCNN on one thread of the CPU. Raises InputError where it does not read the files."""
    net = ncnn.Net()
    net.opt.num_threads = 1
    if net.load_param(str(graph)) or net.load_model(str(weights)):
        raise InputError(f"{graph}: NCNN does not read what pnnx wrote")

    def run(frame: Frame) -> npt.NDArray[np.float32]:
        planes = np.ascontiguousarray(frame.transpose(2, 0, 1), np.float32)
        extractor = net.create_extractor()
        extractor.input(INPUT, ncnn.Mat(planes).clone())  # NCNN reads a Mat later than Python keeps it
        _, logits = extractor.extract(OUTPUT)
        return np.array(logits, np.float32)

    return run


def _take_planes(model: ir.Model, size_hw: tuple[int, int]) -> None:
    """Makes the input floats, channels first, as NCNN hands images over."""
    graph = model.graph
    frames = graph.inputs[0]
    planes = ir.Value(name="planes", shape=ir.Shape([1, 3, *size_hw]), type=ir.TensorType(ir.DataType.FLOAT))
    value = frames
    while (readers := value.consumers()) and readers[0].op_type in ("Transpose", "Cast"):
        value = readers[0].outputs[0]
    for node, index in tuple(value.uses()):
        node.replace_input_with(index, planes)
    graph.inputs[0] = planes
    RemoveUnusedNodesPass()(model)


def _convert(model: ir.Model, folder: Path, source: Path) -> Path:
    """The graph that pnnx makes, NAME.param, with the weights beside it, NAME.bin."""
    ir.save(model, folder / "network.onnx")
    command = [pnnx.EXEC_PATH, "network.onnx", "fp16=0"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    converted = folder / "network.ncnn.param"
    if ran.returncode or not converted.is_file():
        said = (ran.stderr.strip() or ran.stdout.strip() or f"exit code {ran.returncode}").splitlines()[-1]
        raise InputError(f"{source}: pnnx does not convert it: {said}")
    return converted
