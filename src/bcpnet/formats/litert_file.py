"""A LiteRT file (.tflite) under construction: tensors, operators, metadata; written with the format's own schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

_SCHEMA_VERSION = 3
_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16  # bytes, of every constant: LiteRT reads them where they lie
_SIGNATURE = "serving_default"  # the name that interpreters look for first
_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}
# The first version of an operator that takes int8, where the first of all does not.
_INT8_VERSIONS = {
    schema.BuiltinOperator.CONV_2D: 3,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.ADD: 2,
    schema.BuiltinOperator.DEQUANTIZE: 2,
    schema.BuiltinOperator.MAX_POOL_2D: 2,
    schema.BuiltinOperator.PAD: 2,
    schema.BuiltinOperator.PADV2: 2,
    schema.BuiltinOperator.RESIZE_NEAREST_NEIGHBOR: 2,
    schema.BuiltinOperator.SLICE: 2,
}


class LitertFile:
    """Tensors are known by their numbers, which `tensor` and `constant` return."""

    def __init__(self) -> None:
        """Empty."""
        self._buffers: list[Any] = [schema.BufferT()]  # number 0: of tensors without values
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[tuple[int, int], int] = {}

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        scales: npt.ArrayLike | None = None,
        zero_point: int = 0,
        axis: int = 0,
    ) -> int:
        """A tensor. With `scales`, one or one per index of `axis`, it stands for scale * (integer - zero_point)."""
        quantization = None
        if scales is not None:
            all_scales = np.atleast_1d(np.asarray(scales, np.float32))
            zero_points = np.full(len(all_scales), zero_point, np.int64)
            quantization = schema.QuantizationParametersT(
                scale=all_scales, zeroPoint=zero_points, quantizedDimension=axis
            )
        self._tensors.append(
            schema.TensorT(
                shape=np.asarray(shape, np.int32), type=_TYPES[np.dtype(dtype)], name=name, quantization=quantization
            )
        )
        return len(self._tensors) - 1

    def constant(
        self,
        name: str,
        values: npt.NDArray[Any],
        scales: npt.ArrayLike | None = None,
        zero_point: int = 0,
        axis: int = 0,
    ) -> int:
        """A tensor of these values."""
        number = self.tensor(name, values.shape, values.dtype, scales, zero_point, axis)
        self._tensors[number].buffer = self._buffer(values.tobytes())
        return number

    def operator(self, code: int, inputs: Sequence[int], output: int, options: Any = None) -> int:
        """An operator behind those that are there. Returns `output`."""
        is_int8 = self._tensors[inputs[0]].type == schema.TensorType.INT8
        version = _INT8_VERSIONS.get(code, 1) if is_int8 else 1
        made = schema.OperatorT(
            opcodeIndex=self._codes.setdefault((code, version), len(self._codes)),
            inputs=np.asarray(inputs, np.int32),
            outputs=np.asarray([output], np.int32),
        )
        if options is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            made.builtinOptions = options
        self._operators.append(made)
        return output

    def content(self, inputs: dict[str, int], outputs: dict[str, int], metadata: dict[str, str]) -> bytes:
        """The file: inputs and outputs by name, and texts that travel with them."""
        entries = [schema.MetadataT(name=key, buffer=self._buffer(text.encode())) for key, text in metadata.items()]
        codes = [
            schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=version)
            for code, version in self._codes
        ]
        graph = schema.SubGraphT(
            tensors=self._tensors,
            inputs=np.asarray(list(inputs.values()), np.int32),
            outputs=np.asarray(list(outputs.values()), np.int32),
            operators=self._operators,
            name="main",
        )
        signature = schema.SignatureDefT(inputs=_ports(inputs), outputs=_ports(outputs), signatureKey=_SIGNATURE)
        model = schema.ModelT(
            version=_SCHEMA_VERSION,
            operatorCodes=codes,
            subgraphs=[graph],
            buffers=self._buffers,
            metadata=entries,
            signatureDefs=[signature],
            description="bcpnet",
        )
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def _buffer(self, data: bytes) -> int:
        self._buffers.append(_AlignedBuffer(data))
        return len(self._buffers) - 1


class _AlignedBuffer:
    """A buffer of the schema that begins where the schema wants it, which its own `Pack` does not see to."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the schema's name)
        builder.Prep(_ALIGNMENT, len(self._data))
        packed: int = schema.BufferT(data=np.frombuffer(self._data, np.uint8)).Pack(builder)
        return packed


def _ports(tensors: dict[str, int]) -> list[Any]:
    return [schema.TensorMapT(name=name, tensorIndex=number) for name, number in tensors.items()]
