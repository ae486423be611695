"""The values of an ONNX graph as tensors of a LiteRT file: channels last, integers from -128 on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema

from bcpnet.formats.litert_file import LitertFile

TO_INT8 = 128  # what lies between uint8 and int8

_OPS = schema.BuiltinOperator


class Grid(NamedTuple):
    """Of a tensor of int8: scale * (integer - zero_point)."""

    scale: float
    zero_point: int


class Read(NamedTuple):
    """What a DequantizeLinear gives: the integers of a tensor, times a scale that need not be the tensor's own."""

    number: int
    grid: Grid
    scale: float


class Values:
    """Which tensor each value is.

    Attributes:
        file: where tensors are made.
        reads: of the outputs of DequantizeLinear: what they read. Tensors of floats are made where one is needed.
    """

    def __init__(self, frame: ir.Value) -> None:
        """None yet; `frame` is the graph's input."""
        self.file = LitertFile()
        self.reads: dict[ir.Value, Read] = {}
        self._numbers: dict[ir.Value, int] = {}
        self._grids: dict[ir.Value, Grid] = {}  # of those in integers
        self._channels_last = {frame}  # in ONNX too: the frame until it is transposed

    def shape(self, value: ir.Value) -> tuple[int, ...]:
        """Of the tensor."""
        assert value.shape is not None
        shape = value.shape.numpy()
        return shape if value in self._channels_last or len(shape) != 4 else tuple(shape[axis] for axis in (0, 2, 3, 1))

    def is_frame(self, value: ir.Value) -> bool:
        """Whether its channels are last in ONNX too."""
        return value in self._channels_last

    def grid(self, value: ir.Value) -> Grid | None:
        """Of a value in integers, else None."""
        return self._grids.get(value)

    def number(self, value: ir.Value) -> int:
        """Of its tensor, in floats or integers as it is."""
        return self._numbers[value]

    def alias(self, value: ir.Value, same: ir.Value) -> None:
        """`value` is the tensor of `same`, whose channels are last already."""
        if same in self.reads:
            self.reads[value] = self.reads[same]
        else:
            self._numbers[value] = self._numbers[same]

    def make(self, value: ir.Value, grid: Grid | None = None) -> int:
        """A tensor for `value`: int8 on `grid`, or floats."""
        if grid is None:
            self._numbers[value] = self.file.tensor(str(value.name), self.shape(value), np.float32)
        else:
            self._grids[value] = grid
            self._numbers[value] = self.file.tensor(str(value.name), self.shape(value), np.int8, *grid)
        return self._numbers[value]

    def frame(self, value: ir.Value, grid: Grid | None) -> int:
        """A tensor of uint8 for the graph's input; with `grid`, int8 for those that read it."""
        if grid is None:
            self._numbers[value] = self.file.tensor(str(value.name), self.shape(value), np.uint8)
            return self._numbers[value]
        zero_point = grid.zero_point + TO_INT8
        number = self.file.tensor(str(value.name), self.shape(value), np.uint8, grid.scale, zero_point)
        self._grids[value] = grid
        self._numbers[value] = self.file.tensor(f"{value.name}/int8", self.shape(value), np.int8, *grid)
        self.file.operator(_OPS.QUANTIZE, [number], self._numbers[value], schema.QuantizeOptionsT())
        return number

    def read(self, value: ir.Value, integers: ir.Value, scale: float) -> None:
        """`value` is `integers` (less their zero point) times `scale`."""
        self.reads[value] = Read(self._numbers[integers], self._grids[integers], scale)
        if integers in self._channels_last:
            self._channels_last.add(value)

    def cast(self, value: ir.Value, frame: ir.Value) -> int:
        """A tensor of floats for `value`, which has the layout of `frame`."""
        if frame in self._channels_last:
            self._channels_last.add(value)
        return self.make(value)

    def floats(self, value: ir.Value) -> int:
        """The number of its tensor in floats: of a constant, or of integers, made here."""
        if value not in self._numbers:
            name = f"{value.name}/floats"
            if value in self.reads:
                read = self.reads[value]
                number = self.file.tensor(name, self.shape(value), np.float32)
                self.file.operator(_OPS.DEQUANTIZE, [read.number], number, schema.DequantizeOptionsT())
                if read.scale != read.grid.scale:  # a weighted sum's weight is in it
                    factor = self.file.constant(f"{name}/factor", np.array([read.scale / read.grid.scale], np.float32))
                    scaled = self.file.tensor(f"{name}/scaled", self.shape(value), np.float32)
                    number = self.file.operator(_OPS.MUL, [number, factor], scaled, schema.MulOptionsT())
                self._numbers[value] = number
            else:
                self._numbers[value] = self.file.constant(name, _channels_last(array_of(value)))
        return self._numbers[value]


def array_of(value: ir.Value | None) -> npt.NDArray[Any]:
    """The values of a constant; of one in integers, what it stands for."""
    assert value is not None
    producer = value.producer()
    if producer is not None:
        integers, scales = integers_of(value)
        return np.asarray(integers * scales.reshape(-1, *[1] * (integers.ndim - 1)), np.float32)
    assert value.const_value is not None, f"{value.name} is no constant"
    return value.const_value.numpy()


def integers_of(value: ir.Value) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """Of a constant behind a DequantizeLinear: the integers, and a scale for each index of the first axis."""
    producer = value.producer()
    assert producer is not None
    assert producer.op_type == "DequantizeLinear", f"{value.name} is no constant"
    return array_of(producer.inputs[0]), array_of(producer.inputs[1])


def scalar(value: ir.Value | None) -> float:
    """A constant that is one number."""
    return float(array_of(value).item())


def _channels_last(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.size == 1:
        return array.reshape(1)
    return np.ascontiguousarray(array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(0, 2, 3, 1))
