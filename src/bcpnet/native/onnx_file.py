"""Reads ONNX files without the package `onnx`: the graph, its constants and its metadata.

A file is a protocol buffer (protobuf.dev/programming-guides/encoding); the field numbers are those of onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError

Array = npt.NDArray[Any]
_Field = tuple[int, int | bytes]

_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}


@dataclass(frozen=True)
class Node:
    """One operator.

    Attributes:
        name: "node_conv2d_3"; "" = none.
        operator: "Conv", "Add", ...
        inputs, outputs: names of values; "" = left out.
        attributes: numbers, texts, tensors, lists of numbers.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """A network as operators.

    Attributes:
        nodes: in an order in which they can run.
        constants: arrays by name.
        inputs, outputs: names of values.
        metadata: the file's own entries.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    metadata: dict[str, str]


def read_onnx(path: Path) -> Graph:
    """Reads a file whose constants lie inside it.

    Raises:
        InputError: missing, or not such a file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        model = list(_fields(path.read_bytes()))
        graph = [field for number, value in model if number == 7 for field in _fields(_bytes(value))]
        if not graph:
            raise ValueError("no graph in it")
        entries = [dict(_fields(_bytes(value))) for number, value in model if number == 14]
        constants = dict(_tensor(_bytes(value)) for number, value in graph if number == 5)
        return Graph(
            nodes=tuple(_node(_bytes(value)) for number, value in graph if number == 1),
            constants=constants,
            inputs=tuple(name for name in _value_names(graph, 11) if name not in constants),
            outputs=tuple(_value_names(graph, 12)),
            metadata={_bytes(entry[1]).decode(): _bytes(entry[2]).decode() for entry in entries},
        )
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror}") from error
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not an ONNX file, or a damaged one ({error})") from error


def _fields(message: bytes) -> Iterator[_Field]:
    """Number and value of each field: an int, or bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"field of kind {kind}")
        if at + size > len(message):
            raise ValueError("cut off")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise TypeError("a number was expected")
    return value - (1 << 64) if value >> 63 else value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("a number where a message was expected")
    return value


def _numbers(values: list[int | bytes]) -> list[int]:
    """Repeated integers: one each, or packed."""
    numbers = []
    for value in values:
        if isinstance(value, int):
            numbers.append(_signed(value))
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            numbers.append(_signed(number))
    return numbers


def _all(fields: list[_Field], number: int) -> list[int | bytes]:
    return [value for found, value in fields if found == number]


def _value_names(graph: list[_Field], number: int) -> list[str]:
    return [_bytes(_all(list(_fields(_bytes(value))), 1)[0]).decode() for value in _all(graph, number)]


def _tensor(message: bytes) -> tuple[str, Array]:
    fields = list(_fields(message))
    shape = _numbers(_all(fields, 1))
    (kind,) = _numbers(_all(fields, 2))
    dtype = np.dtype(_TYPES[kind])
    raw = _all(fields, 9)
    if raw:
        values = np.frombuffer(_bytes(raw[0]), dtype)
    elif _all(fields, 4):
        values = np.frombuffer(b"".join(_bytes(value) for value in _all(fields, 4)), np.float32)
    else:
        values = np.array(_numbers(_all(fields, 5) or _all(fields, 7)), dtype)
    name = _bytes(([*_all(fields, 8), b""])[0]).decode()
    return name, values.reshape(shape)


def _node(message: bytes) -> Node:
    fields = list(_fields(message))
    texts = {number: tuple(_bytes(value).decode() for value in _all(fields, number)) for number in (1, 2, 3, 4)}
    attributes = dict(_attribute(_bytes(value)) for value in _all(fields, 5))
    return Node("".join(texts[3]), texts[4][0], texts[1], texts[2], attributes)


def _attribute(message: bytes) -> tuple[str, Any]:
    fields = list(_fields(message))
    name = _bytes(_all(fields, 1)[0]).decode()
    by_number = {number: _all(fields, number) for number in (2, 3, 4, 5, 7, 8)}
    if by_number[2]:
        return name, float(np.frombuffer(_bytes(by_number[2][0]), np.float32)[0])
    if by_number[4]:
        return name, _bytes(by_number[4][0]).decode()
    if by_number[5]:
        return name, _tensor(_bytes(by_number[5][0]))[1]
    if by_number[7]:
        return name, np.frombuffer(b"".join(_bytes(value) for value in by_number[7]), np.float32).tolist()
    if by_number[8]:
        return name, _numbers(by_number[8])
    return name, _signed(by_number[3][0]) if by_number[3] else 0
