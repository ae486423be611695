"""Reads ONNX files without the package `onnx`: the graph, its constants and its metadata.

Field numbers are those of onnx.proto3 (ONNX 1.23). What a file can say and the engine was not written for - functions,
subgraphs, sparse and external data, several sets of operators - is refused: another backend runs it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError
from bcpnet.native.protobuf import DamagedError, Message, UnsupportedError
from bcpnet.storage.damaged import shortened
from bcpnet.storage.files import require_file

Array = npt.NDArray[Any]

OPSET = 18  # `bcpnet export` writes it; another one may mean something else by the same node
_IR_VERSIONS = (8, 9, 10)  # of the file format: those that have this opset and no more than is read here
_HIGHEST_RANK = 8
_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}
_INT64 = 7
_DOCUMENTATION = {"model": (2, 3, 4, 5, 6), "graph": (2, 10, 13, 14, 16), "node": (6, 9), "tensor": (12, 16)}
_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS = 1, 2, 3, 4, 6, 7  # types of attributes


@dataclass(frozen=True)
class Node:
    """One operator of ONNX's own.

    Attributes:
        name: "node_conv2d_3"; "" = none.
        operator: "Conv", "Add", ...
        inputs, outputs: names of values; "" = left out.
        attributes: int, float, str, an array, or a tuple of int or of float; None for what is never read here.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Port:
    """An input or output of the graph.

    Attributes:
        name: of the value.
        kind: number of its type, 1 = float32, 2 = uint8; None = not said, or no tensor.
        shape: sizes, or names of sizes that are free ("" = without a name); None = not said.
    """

    name: str
    kind: int | None
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True)
class Graph:
    """A network as operators.

    Attributes:
        nodes: in an order in which they can run.
        constants: arrays by name.
        inputs, outputs: what goes in and comes out.
        metadata: the file's own entries.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, Array]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: dict[str, str]


def read_onnx(path: Path) -> Graph:
    """Reads a file whose constants lie inside it, in time and memory that grow with its size and no faster.

    Raises:
        InputError: missing, or not such a file.
        UnsupportedError: something in it that the engine was not written for.
    """
    require_file(path)
    try:
        return _graph(memoryview(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror}") from error
    except MemoryError as error:
        raise InputError(f"{path}: cannot read: not enough memory") from error
    except DamagedError as error:
        raise InputError(f"{path}: not an ONNX file, or a damaged one ({error})") from error


def _graph(content: memoryview) -> Graph:
    model = Message(content, "a model", _DOCUMENTATION["model"])
    inside = model.message(7)
    if inside is None:
        raise DamagedError("no graph in it")
    if model.integer(1) not in _IR_VERSIONS:
        raise UnsupportedError("a file of another version of the format")
    opsets = [Message(opset, "an opset") for opset in model.messages(8)]
    if [(opset.text(1), opset.integer(2)) for opset in opsets] not in ([("", OPSET)], [("ai.onnx", OPSET)]):
        raise UnsupportedError(f"operators of other versions than ONNX's opset {OPSET}")
    metadata: dict[str, str] = {}
    for entry in [Message(entry, "an entry of the metadata") for entry in model.messages(14)]:
        key = entry.text(1)
        if key in metadata:
            raise UnsupportedError(f"two entries {shortened(key)} in the metadata")
        metadata[key] = entry.text(2)
    model.done()
    graph = Message(inside, "a graph", _DOCUMENTATION["graph"])
    constants: dict[str, Array] = {}
    for message in graph.messages(5):
        name, values = _tensor(message)
        if name in constants:
            raise UnsupportedError(f"two constants {shortened(name)}")
        constants[name] = values
    read = Graph(
        nodes=tuple(_node(message) for message in graph.messages(1)),
        constants=constants,
        inputs=tuple(_port(message) for message in graph.messages(11)),
        outputs=tuple(_port(message) for message in graph.messages(12)),
        metadata=metadata,
    )
    graph.done()
    return read


def _port(message: memoryview) -> Port:
    port = Message(message, "an input or output", (3, 4))
    name, kind = port.text(1), port.message(2)
    port.done()
    if kind is None:
        return Port(name, None, None)
    of = Message(kind, "a type", (6,))
    tensor = of.message(1)
    of.done()
    if tensor is None:
        return Port(name, None, None)
    of = Message(tensor, "a tensor's type")
    number, shape = of.integer(1), of.message(2)
    of.done()
    if shape is None:
        return Port(name, number, None)
    sizes: list[int | str] = []
    for dimension in [Message(dimension, "a size", (3,)) for dimension in Message(shape, "a shape").messages(1)]:
        value, called = dimension.integer(1), dimension.text(2)
        sizes.append(called if value is None else value)
    return Port(name, number, tuple(sizes))


def _tensor(message: memoryview) -> tuple[str, Array]:
    tensor = Message(message, "a constant", _DOCUMENTATION["tensor"])
    name, shape, kind = tensor.text(8), tensor.integers(1), tensor.integer(2)
    try:
        values = _values(tensor, shape, kind)
        tensor.done()
    except UnsupportedError as error:
        raise UnsupportedError(f"the constant {shortened(name)}: {error}") from error
    return name, values


def _values(tensor: Message, shape: list[int], kind: int | None) -> Array:
    if kind not in _TYPES or tensor.integer(14) not in (None, 0):
        raise UnsupportedError("of another type, or in another file")
    if len(shape) > _HIGHEST_RANK or any(size < 0 for size in shape):
        raise UnsupportedError("of a shape that cannot be")
    dtype, count = np.dtype(_TYPES[kind]), math.prod(shape)
    raw = tensor.message(9)
    if raw is not None:
        content = bytes(raw)
    elif dtype == np.float32:
        content = tensor.float_bytes(4)
    else:
        numbers = np.array(tensor.integers(7 if kind == _INT64 else 5), np.int64)
        content = numbers.astype(dtype).tobytes()
        if dtype.kind == "f" or not np.array_equal(np.frombuffer(content, dtype), numbers):
            raise UnsupportedError("with numbers that are written in another way, or out of range")
    if len(content) != count * dtype.itemsize:
        raise UnsupportedError(f"with {len(content)} bytes for {count} numbers")
    return np.frombuffer(content, dtype).reshape(shape)


def _node(message: memoryview) -> Node:
    node = Message(message, "a node", _DOCUMENTATION["node"])
    name, operator = node.text(3), node.text(4)
    inputs, outputs = node.texts(1), node.texts(2)
    attributes: dict[str, Any] = {}
    try:
        if node.text(7) not in ("", "ai.onnx"):
            raise UnsupportedError(f"{shortened(operator)} that is none of ONNX's own operators")
        for attribute in node.messages(5):
            key, value = _attribute(attribute)
            if key in attributes:
                raise UnsupportedError(f"two attributes {shortened(key)}")
            attributes[key] = value
        node.done()
    except UnsupportedError as error:
        raise UnsupportedError(f"{error}, node {shortened(name or ' '.join(outputs))}") from error
    return Node(name, operator, inputs, outputs, attributes)


def _attribute(message: memoryview) -> tuple[str, Any]:
    attribute = Message(message, "an attribute", (13,))
    name, kind = attribute.text(1), attribute.integer(20)
    value: Any = None
    if kind == _FLOAT:
        numbers = np.frombuffer(attribute.float_bytes(2), np.float32).tolist()
        value = numbers[0] if len(numbers) == 1 else 0.0 if not numbers else None
    elif kind == _INT:
        value = attribute.integer(3) or 0
    elif kind == _STRING:
        value = attribute.text(4)
    elif kind == _TENSOR:
        inside = attribute.message(5)
        value = None if inside is None else _tensor(inside)[1]
    elif kind == _FLOATS:
        value = tuple(np.frombuffer(attribute.float_bytes(7), np.float32).tolist())
    elif kind == _INTS:
        value = tuple(attribute.integers(8))
    else:
        return name, None
    attribute.done()
    return name, value
