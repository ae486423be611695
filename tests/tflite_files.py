"""TensorFlow Lite files with 8-bit convolutions, written with the format's own builders."""

from __future__ import annotations

from typing import Any, NamedTuple

import flatbuffers
import numpy as np
import numpy.typing as npt
import tflite

from bcpnet.networks.encoders.mobilenet_v2 import MobileNetV2


class Quantised(NamedTuple):
    """A tensor in integers: worth scale * (values - zero_point)."""

    values: npt.NDArray[Any]
    scale: float
    zero_point: int


class Convolution(NamedTuple):
    """Weight as O I H W; the file turns it round."""

    weight: Quantised
    bias: Quantised
    depthwise: bool


def random_convolutions(width: float, seed: int = 0) -> list[Convolution]:
    """MobileNetV2's, then one of a head."""
    rng = np.random.default_rng(seed)
    layers = [layer for layer in MobileNetV2(width).modules() if hasattr(layer, "kernel_size")]
    shapes = [(tuple(layer.weight.shape), layer.groups > 1) for layer in layers]
    return [
        Convolution(
            Quantised(rng.integers(0, 256, shape, np.uint8), float(rng.uniform(1e-3, 1e-1)), int(rng.integers(256))),
            Quantised(rng.integers(-(2**20), 2**20, shape[0], np.int32), float(rng.uniform(1e-6, 1e-4)), 0),
            depthwise,
        )
        for shape, depthwise in [*shapes, ((21, 8, 1, 1), False)]
    ]


def tflite_bytes(convolutions: list[Convolution], *, old: bool = True) -> bytes:
    """A file of these operators, each after an addition; `old`: with the operators' 8-bit codes alone."""
    builder = flatbuffers.Builder(1 << 20)
    tensors: list[Quantised] = []
    for convolution in convolutions:
        values = convolution.weight.values
        turned = values.transpose(1, 2, 3, 0) if convolution.depthwise else values.transpose(0, 2, 3, 1)
        tensors += [convolution.weight._replace(values=turned), convolution.bias]
    buffers = [_table(builder, "Buffer")]  # the first is empty: of what is not constant
    buffers += [
        _table(
            builder, "Buffer", Data=builder.CreateNumpyVector(np.ascontiguousarray(tensor.values).view("u1").ravel())
        )
        for tensor in tensors
    ]
    types = {"u": tflite.TensorType.UINT8, "i": tflite.TensorType.INT32}
    made = [_table(builder, "Tensor", Shape=builder.CreateNumpyVector(np.array([1, 2, 2, 3], np.int32)))]
    for place, tensor in enumerate(tensors):
        quantisation = _table(
            builder,
            "QuantizationParameters",
            Scale=builder.CreateNumpyVector(np.array([tensor.scale], np.float32)),
            ZeroPoint=builder.CreateNumpyVector(np.array([tensor.zero_point], np.int64)),
        )
        shape = builder.CreateNumpyVector(np.array(tensor.values.shape, np.int32))
        kind = types[tensor.values.dtype.kind]
        made.append(_table(builder, "Tensor", Shape=shape, Type=kind, Buffer=place + 1, Quantization=quantisation))
    kinds = (tflite.BuiltinOperator.ADD, tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D)
    codes = []
    for kind in kinds:
        code = {"DeprecatedBuiltinCode": kind} if old else {"DeprecatedBuiltinCode": kind, "BuiltinCode": kind}
        codes.append(_table(builder, "OperatorCode", **code))
    operators = []
    for place, convolution in enumerate(convolutions):
        inputs = builder.CreateNumpyVector(np.array([0, 0], np.int32))
        operators.append(_table(builder, "Operator", OpcodeIndex=0, Inputs=inputs))
        inputs = builder.CreateNumpyVector(np.array([0, 2 * place + 1, 2 * place + 2], np.int32))
        operators.append(_table(builder, "Operator", OpcodeIndex=1 + convolution.depthwise, Inputs=inputs))
    graph = _table(builder, "SubGraph", Tensors=_vector(builder, made), Operators=_vector(builder, operators))
    model = _table(
        builder,
        "Model",
        Version=3,
        OperatorCodes=_vector(builder, codes),
        Subgraphs=_vector(builder, [graph]),
        Buffers=_vector(builder, buffers),
    )
    builder.Finish(model, b"TFL3")
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, kind: str, **fields: int) -> int:
    getattr(tflite, f"{kind}Start")(builder)
    for name, value in fields.items():
        getattr(tflite, f"{kind}Add{name}")(builder, value)
    return int(getattr(tflite, f"{kind}End")(builder))


def _vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
