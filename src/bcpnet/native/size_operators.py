"""The grammar's other half: nodes that compute sizes from sizes. `bcpnet.native.operators` says what a grammar is."""

from __future__ import annotations

import numpy as np

from bcpnet.native.onnx_file import Array
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.native.sizes import Integers, Size

SIZE_OPERATORS = ("Add", "Div", "Reshape", "Squeeze")


def size_operator(operator: str, operands: tuple[object, ...]) -> Integers:
    """What one of SIZE_OPERATORS makes of operands, at least one of which is `Integers`.

    Raises:
        UnsupportedError: the engine was not written for such a node; the text says why.
    """
    match (operator, *operands):
        case ("Squeeze", Integers(values=(value,), rank=1)):
            return Integers((value,), 0)
        case ("Reshape", Integers(values=(value,)), np.ndarray() as shape) if _is_flat(shape):
            return Integers((value,), 1)
        case ("Add", Integers(values=(Size() as size,), rank=0), np.ndarray() as number):
            return Integers((size.plus(_number(number)),), 0)
        case ("Add", np.ndarray() as number, Integers(values=(Size() as size,), rank=0)):
            return Integers((size.plus(_number(number)),), 0)
        case ("Div", Integers(values=(Size() as size,), rank=0), np.ndarray() as number):
            return Integers((size.divided(_number(number)),), 0)
    raise UnsupportedError(f"{operator} of sizes that the engine does not follow")


def _is_flat(shape: Array) -> bool:
    return shape.dtype == np.int64 and shape.ndim == 1 and shape.tolist() == [-1]


def _number(constant: Array) -> int:
    if constant.dtype != np.int64 or constant.shape != ():
        raise UnsupportedError("a size with a constant that is not one whole number")
    return int(constant)
