"""MobileNetV2 out of an 8-bit TensorFlow Lite file, such as the DeepLabv3 models of google-coral/edgetpu."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tflite
from torch import nn

from bcpnet.errors import InputError
from bcpnet.networks.encoders.mobilenet_v2 import MobileNetV2
from bcpnet.storage.damaged import damage, reason

_CONVOLUTIONS = (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D)
_NUMPY = {tflite.TensorType.UINT8: "u1", tflite.TensorType.INT8: "i1", tflite.TensorType.INT32: "<i4"}


def read_tflite(path: Path, width: float) -> dict[str, npt.NDArray[np.float32]]:
    """The encoder's weights in floats, as `mobilenet_v2.load_pretrained` takes them.

    The file names its tensors as its converter liked; the order of its convolutions is the network's: the encoder is
    the first of it, layer after layer. The shape of each is compared.

    Args:
        path: a network that begins with MobileNetV2, quantised with a scale and a zero point for each tensor.
        width: of the encoder.

    Returns:
        `stem`, `blocks.N.{expand,depthwise,project}`, each with `.weight` (O I H W) and `.bias`, float32.

    Raises:
        InputError: not such a file, or an encoder of another width.
    """
    layers = {name: layer[0] for name, layer in MobileNetV2(width).named_modules() if isinstance(layer, nn.Sequential)}
    try:
        convolutions = _convolutions(path.read_bytes(), len(layers))
    except damage("tflite") as error:
        raise InputError(f"{path}: not a TensorFlow Lite file with 8-bit weights ({reason(error)})") from error
    if len(convolutions) < len(layers):
        raise InputError(f"{path}: {len(convolutions)} convolutions, MobileNetV2 has {len(layers)}")
    tensors = {}
    for (name, layer), (weight, bias) in zip(layers.items(), convolutions, strict=True):
        assert isinstance(layer, nn.Conv2d)
        if weight.shape != layer.weight.shape or bias.shape != weight.shape[:1]:
            raise InputError(
                f"{path}: {name} has weights {weight.shape}, MobileNetV2 of width {width:g} {tuple(layer.weight.shape)}"
            )
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight, bias
    return tensors


def _convolutions(data: bytes, most: int) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Weight (O I H W) and bias of the first `most` convolutions, in the order in which they run."""
    if not tflite.Model.ModelBufferHasIdentifier(data, 0):
        raise ValueError("it does not begin as one")
    model = tflite.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)
    found: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]] = []
    for index in range(graph.OperatorsLength()):
        if len(found) == most:
            break
        operator = graph.Operators(index)
        kind = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if kind in _CONVOLUTIONS:
            weight, bias = (_floats(model, graph.Tensors(operator.Inputs(place))) for place in (1, 2))
            # O H W I; depthwise 1 H W O
            order = (0, 3, 1, 2) if kind == tflite.BuiltinOperator.CONV_2D else (3, 0, 1, 2)
            found.append((np.ascontiguousarray(weight.transpose(order)), bias))
    return found


def _floats(model: tflite.Model, tensor: tflite.Tensor) -> npt.NDArray[np.float32]:
    """scale * (integer - zero point), rounded once."""
    integers = np.frombuffer(model.Buffers(tensor.Buffer()).DataAsNumpy(), _NUMPY[tensor.Type()])
    quantisation = tensor.Quantization()
    scale, zero_point = (np.float64(values()) for values in (quantisation.ScaleAsNumpy, quantisation.ZeroPointAsNumpy))
    floats = (scale * (integers - zero_point)).astype(np.float32)
    if not (scale.size == 1 and 0 < scale < 1e3 and np.isfinite(floats).all()):
        raise ValueError("a tensor has no scale of its own")
    return floats.reshape(tensor.ShapeAsNumpy())
