"""Checkpoint -> ONNX: folded, everything needed to use it inside, compared with the network before it is kept."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx_ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass, RemoveUnusedNodesPass
from torch import nn

from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
from bcpnet.errors import InputError
from bcpnet.frames.preprocess import SCALE
from bcpnet.metadata import KEY, Metadata
from bcpnet.networks.checkpoint import load_checkpoint
from bcpnet.networks.fold import fold
from bcpnet.networks.frames import FrameNetwork, normalise
from bcpnet.onnx.signature import describe
from bcpnet.storage.files import atomic_path

_OPSET = 18  # the oldest that the exporter writes without conversion: runs in the most runtimes
# Batch and size of the parity check; odd sizes and the smallest ones are where exports go wrong.
_PARITY_SHAPES = ((1, 32, 32, 3), (2, 97, 131, 3), (1, 360, 640, 3))
# Of the largest logit, from the network in float64; or `_ROUNDINGS` times as far as float32 PyTorch is from it.
_TOLERANCE = 1e-4
# Where a network amplifies rounding, another order of additions costs a few times what PyTorch's own does: up to 4.8
# times was seen (networks of `bcpnet benchmark` on a Xeon with AVX-512 FP16). A wrong graph is off by far more.
_ROUNDINGS = 10


def export_onnx(network: nn.Module, metadata: Metadata, out: Path) -> float:
    """Writes `network` as one ONNX file.

    Input: "frames", batch x height x width x 3, uint8, RGB; any batch, any height and width of at least 32.
    Output: "logits", batch x classes x logits_height x logits_width, float32; the frames' size divided by the
    network's output stride, rounded up.

    Normalisation is in the file, its scale inside the first convolution where nothing else reads the image.

    The metadata (classes, colours, preprocessing, provenance) lies in the file's metadata_props under "bcpnet".

    Args:
        network: not changed; its folded copy is exported.
        metadata: goes into the file.
        out: path of the file; written as a whole, and only if ONNX Runtime agrees with the network.

    Returns:
        The largest difference seen between the logits, relative to the largest logit.

    Raises:
        InputError: ONNX Runtime and PyTorch disagree, or `out` cannot be written.
    """
    reference = copy.deepcopy(network).cpu().eval()
    with atomic_path(out) as temporary:
        _write(fold(reference), metadata, temporary)
        difference, rounding = _parity(reference, temporary)
        allowed = max(_TOLERANCE, _ROUNDINGS * rounding)
        if not difference <= allowed:  # NaN is no agreement
            raise InputError(
                f"{out}: not kept: ONNX Runtime's logits differ from PyTorch's by {difference:.1e} of the largest "
                f"(at most {allowed:.0e} is rounding)"
            )
    return difference


def export_checkpoint(weights: Path, out: Path) -> float:
    """`export_onnx` for a checkpoint file. Raises InputError for a bad checkpoint too."""
    network, metadata = load_checkpoint(weights)
    return export_onnx(network, metadata, out)


def _write(network: nn.Module, metadata: Metadata, path: Path) -> None:
    free = torch.export.Dim.DYNAMIC
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it reports each optional package it does without
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                FrameNetwork(network),
                (torch.zeros(2, 96, 160, 3, dtype=torch.uint8),),
                dynamo=True,
                dynamic_shapes=({0: free, 1: free, 2: free},),
                input_names=["frames"],
                output_names=["logits"],
                opset_version=_OPSET,
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    # The exporter notes the Python stack behind every node, paths of this machine included.
    ClearMetadataAndDocStringPass()(program.model)
    _fold_scale(program.model.graph)
    RemoveUnusedNodesPass()(program.model)  # constants that folding left, of which ONNX Runtime warns
    describe(program.model.graph, metadata)
    program.model.metadata_props[KEY] = metadata.to_json()
    program.save(path, external_data=False)


def _fold_scale(graph: onnx_ir.Graph) -> None:
    """Moves the normalisation's scale into the convolution that reads the image: exactly, it is a power of two.

    The mean must stay: a convolution pads with zeros after it.
    """
    subtract = next(node for node in graph if node.op_type == "Sub")
    (multiply,) = subtract.outputs[0].consumers()
    readers = list(multiply.outputs[0].consumers())
    if len(readers) > 1 or readers[0].op_type != "Conv":
        return
    weights = readers[0].inputs[1]
    if weights is None or weights.const_value is None:
        return
    weights.const_value = onnx_ir.tensor(weights.const_value.numpy() * np.float32(SCALE), name=weights.name)
    readers[0].replace_input_with(0, subtract.outputs[0])
    graph.remove(multiply, safe=True)


def _parity(network: nn.Module, path: Path) -> tuple[float, float]:
    """How far ONNX Runtime and float32 PyTorch are from the network in float64, relative to the largest logit."""
    backend = OnnxRuntimeBackend(path)
    exact = copy.deepcopy(network).double()
    generator = torch.Generator().manual_seed(0)
    of_file, of_float32 = [], []
    for shape in _PARITY_SHAPES:
        frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        images = normalise(frames.permute(0, 3, 1, 2))
        with torch.inference_mode():
            expected, rounded = exact(images.double()).numpy(), network(images).numpy()
        largest = np.abs(expected).max()
        of_file.append(np.abs(backend(frames.numpy()) - expected).max() / largest)
        of_float32.append(np.abs(rounded - expected).max() / largest)
    return float(np.max(of_file)), float(np.max(of_float32))
