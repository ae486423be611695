"""A quantised ONNX graph ("QDQ") taken apart: the network it is of, for the grammar of floats, and its integers.

Every QuantizeLinear and DequantizeLinear must stand where `bcpnet.onnx.quantise` puts one, with constants of the types
that it writes; all else is refused.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from bcpnet.native.int8.requantise import Grid, IntegerConv
from bcpnet.native.onnx_file import Array, Graph, Node
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.storage.damaged import shortened

_CHOOSING = ("MaxPool", "Resize", "Slice")  # their output holds bytes of their input
_OF_SIZES = ("Shape", "Squeeze", "Div", "Reshape")
_LEAST_SCALE = 1e-18
_FLOAT = 1  # the type in ONNX's numbering


@dataclass
class Integers:
    """What the graph of floats does not say. Nodes are named as `Value.node` names them.

    Attributes:
        convs: by the node.
        grids: of what nodes write, where that is bytes.
        summed: of each sum that is itself written as bytes, the grids that its two terms are read on, by their nodes.
    """

    convs: dict[str, IntegerConv] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    summed: dict[str, dict[str, Grid]] = field(default_factory=dict)


def is_quantised(graph: Graph) -> bool:
    """Whether there is something in it that `separate` takes out."""
    return any(node.operator == "QuantizeLinear" for node in graph.nodes)


def separate(graph: Graph) -> tuple[Graph, Integers]:
    """The network in floats, as if it had not been quantised, and the integers.

    Weights keep their integers there, each sum's terms are multiplied by the scale of their bytes, and activations that
    the grids do by ending at zero are left out: it is for its structure, not to be run.

    Raises:
        UnsupportedError: something that the engine was not written for; the text names the node.
    """
    taken = _Separation(graph)
    for node in graph.nodes:
        try:
            taken.take(node)
        except UnsupportedError as error:
            raise UnsupportedError(f"{error}, node {shortened(_name(node))}") from error
    return replace(graph, nodes=tuple(taken.nodes), constants=taken.constants), taken.integers


@dataclass(frozen=True)
class _Bytes:
    """A map of bytes; `of` is its name in the graph of floats."""

    of: str
    maker: str
    grid: Grid


@dataclass(frozen=True)
class _Read(_Bytes):
    """What a DequantizeLinear makes of a map; the grid is the one that it is read on."""


@dataclass(frozen=True)
class _Floats:
    """What a convolution or a sum makes, before it becomes bytes."""

    maker: str


@dataclass(frozen=True)
class _Weights:
    name: str
    integers: Array
    scales: Array


@dataclass(frozen=True)
class _FrameRead:
    grid: Grid


class _Separation:
    def __init__(self, graph: Graph) -> None:
        self.nodes: list[Node] = []
        self.constants = dict(graph.constants)
        self.integers = Integers()
        self._known: dict[str, _Bytes | _Floats | _Weights | _FrameRead] = {}
        self._frames = [port.name for port in graph.inputs]
        self._uses = Counter(name for node in graph.nodes for name in node.inputs)
        self._uses.update(port.name for port in graph.outputs)
        self._quantised = {node.inputs[0] for node in graph.nodes if node.operator == "QuantizeLinear" and node.inputs}
        names = Counter(_name(node) for node in graph.nodes)
        self._repeated = {name for name, count in names.items() if count > 1}

    def take(self, node: Node) -> None:
        """Adds `node`, which comes after all that it reads."""
        if len(node.outputs) != 1 or node.outputs[0] in self._known or node.outputs[0] in self.constants:
            raise UnsupportedError(f"{node.operator} with {len(node.outputs)} outputs, or one made twice")
        if _name(node) in self._repeated:
            raise UnsupportedError("two nodes of that name")
        operands = tuple(self._known.get(name) for name in node.inputs)
        match (node.operator, *operands):
            case ("QuantizeLinear", _Floats(maker=maker), None, None):
                self._quantise(node, maker)
            case ("DequantizeLinear", operand, None, None):
                self._dequantise(node, operand)
            case ("Transpose", _FrameRead() as frame):
                self._add(node, frame)
            case ("Conv", (_Read() | _FrameRead()) as read, _Weights() as weights, *bias) if len(bias) < 2:
                self._convolve(node, read, weights, bias[0] if bias else None)
            case ("Add", _Read() as one, _Read() as other) if node.outputs[0] in self._quantised:
                if one.maker == other.maker:
                    raise UnsupportedError("a sum of a map and itself")
                self.integers.summed[_name(node)] = {one.maker: one.grid, other.maker: other.grid}
                self._add(node, _Floats(_name(node)), {0: one.of, 1: other.of})
            case ("Add", (_Read() | _Floats()), (_Read() | _Floats())):
                scaled = {at: self._scaled(node, at, one) for at, one in enumerate(operands) if isinstance(one, _Read)}
                self._add(node, _Floats(_name(node)), scaled)
            case ("Sigmoid", _Floats()) | ("Mul", _Floats(), _Floats()):
                self._add(node, _Floats(_name(node)))
            case (operator, _Bytes() as chosen, *rest) if operator in _CHOOSING and type(chosen) is _Bytes:
                if any(rest):
                    raise UnsupportedError(f"{operator} of several maps")
                made = replace(chosen, of=node.outputs[0], maker=_name(node))
                self.integers.grids[made.maker] = made.grid
                self._add(node, made, {0: chosen.of})
            case (operator, *rest) if (operator in _OF_SIZES or operator == "Add") and not any(rest):
                self._add(node, None)
            case _:
                raise UnsupportedError(
                    f"{shortened(node.operator) or 'a node'} in a place where the engine does not "
                    "know it among integers"
                )

    def _add(self, node: Node, made: _Bytes | _Floats | _FrameRead | None, reads: dict[int, str] | None = None) -> None:
        """`node` in the graph of floats, its inputs replaced by `reads`."""
        inputs = [(reads or {}).get(at, name) for at, name in enumerate(node.inputs)]
        self.nodes.append(replace(node, inputs=tuple(inputs)))
        if made is not None:
            self._known[node.outputs[0]] = made

    def _quantise(self, node: Node, maker: str) -> None:
        if self._uses[node.inputs[0]] != 1:
            raise UnsupportedError("QuantizeLinear of a map that is read as floats too")
        grid = self._grid(node)
        self.integers.grids[maker] = grid
        self._known[node.outputs[0]] = _Bytes(node.inputs[0], maker, grid)

    def _dequantise(self, node: Node, operand: object) -> None:
        output = node.outputs[0]
        if type(operand) is _Bytes:
            grid = self._grid(node)
            if grid.zero_point != operand.grid.zero_point:
                raise UnsupportedError("DequantizeLinear with another zero point than what it reads")
            self._known[output] = _Read(operand.of, operand.maker, grid)
        elif node.inputs[0] in self._frames and operand is None:
            grid = self._grid(node)
            self._known[output] = _FrameRead(grid)
            self.constants[f"{output}.mean"] = np.array(grid.zero_point, np.float32)
            cast = Node(f"{_name(node)}.cast", "Cast", (node.inputs[0],), (f"{output}.floats",), {"to": _FLOAT})
            mean = Node(f"{_name(node)}.mean", "Sub", (f"{output}.floats", f"{output}.mean"), (output,), {})
            self.nodes += [cast, mean]
        elif operand is None and node.attributes == {"axis": 0}:
            integers, scales, zeros = (self._constant(name) for name in node.inputs)
            right = scales.dtype == np.float32 and zeros.dtype == integers.dtype and not zeros.any()
            if not right or not (scales.shape == zeros.shape == integers.shape[:1]) or not _moderate(scales):
                raise UnsupportedError("DequantizeLinear of constants with other scales or zero points")
            self._known[output] = _Weights(node.inputs[0], integers, scales)
        else:
            raise UnsupportedError("DequantizeLinear of no map, frame or constant")

    def _convolve(self, node: Node, read: _Read | _FrameRead, weights: _Weights, bias: object) -> None:
        integers = weights.integers
        if integers.dtype != np.int8 or integers.ndim != 4 or not integers.size:
            raise UnsupportedError(f"a convolution whose weights are {integers.dtype} {integers.shape}")
        offsets = np.zeros(len(integers), np.int32)
        if len(node.inputs) > 2:
            scales = weights.scales * read.grid.scale
            if not isinstance(bias, _Weights) or bias.integers.dtype != np.int32 or bias.integers.ndim != 1:
                raise UnsupportedError("a convolution whose bias is not 32-bit constants")
            if bias.scales.shape != scales.shape or not np.allclose(bias.scales, scales, rtol=1e-6, atol=0):
                raise UnsupportedError("a convolution whose bias is on another grid than its products")
            offsets = bias.integers
        self.integers.convs[_name(node)] = IntegerConv(integers, offsets, weights.scales, read.grid)
        reads = {0: read.of} if isinstance(read, _Read) else {}
        for at, constants in enumerate((weights, bias), 1):
            if isinstance(constants, _Weights):
                reads[at] = f"{constants.name}.floats"
                if reads[at] not in self.constants:  # which many convolutions may share
                    self.constants[reads[at]] = constants.integers.astype(np.float32)
        self._add(node, _Floats(_name(node)), reads)

    def _scaled(self, node: Node, at: int, read: _Read) -> str:
        """The map times its scale: a term of a weighted sum."""
        name = f"{node.outputs[0]}.term{at}"
        self.constants[f"{name}.scale"] = np.array(read.grid.scale, np.float32)
        self.nodes.append(Node(name, "Mul", (read.of, f"{name}.scale"), (name,), {}))
        return name

    def _grid(self, node: Node) -> Grid:
        scale, zero_point = (self._constant(name) for name in node.inputs[1:])
        if node.attributes or scale.shape != () or zero_point.shape != ():
            raise UnsupportedError(f"{node.operator} with attributes, or more than one scale")
        if scale.dtype != np.float32 or zero_point.dtype != np.uint8 or not _moderate(scale):
            raise UnsupportedError(f"{node.operator} with a scale {scale.dtype} and a zero point {zero_point.dtype}")
        return Grid(np.float32(scale), int(zero_point))

    def _constant(self, name: str) -> Array:
        if name not in self.constants:
            raise UnsupportedError("a scale, zero point or weights that are computed")
        return self.constants[name]


def _moderate(scales: Array) -> bool:
    """Positive, and of a size that can be meant: products and quotients of two are numbers too."""
    return bool((scales > _LEAST_SCALE).all() and (scales < 1 / _LEAST_SCALE).all())


def _name(node: Node) -> str:
    return node.name or " ".join(node.outputs)
