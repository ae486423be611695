"""An 8-bit network ready for the C engine: weights packed for this CPU's vectors, maps placed for each frame size."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.native.fusion import Step
from bcpnet.native.int8.packing import Packing, filled
from bcpnet.native.int8.requantise import MOST_NUMBER, Grid, IntegerConv
from bcpnet.native.int8.separate import Integers
from bcpnet.native.int8.structures import (
    FRONT_COPY,
    FRONT_EXPAND,
    FRONT_FRAME,
    FRONT_SUM,
    POINTWISE,
    POOL,
    SEPARABLE,
    CInt8Layer,
)
from bcpnet.native.placing import even_part, joined, last_uses, macs_of, offsets_of, size_for, tile_rows
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.native.values import NO_ACTIVATION, Activation, Floats, Kind, Value

_WINDOW = 65536  # bytes of a tile's window: what second-level caches hold, beside its output
_LEAST_COLUMNS = 16
_LINE = 64  # bytes of a cache line


@dataclass(frozen=True)
class PlacedInt8:
    """The layers for one input size, in memory of their own: see `bcpnet.native.program.Placed`."""

    layers: ctypes.Array[Any]
    logits: Floats
    tensors_bytes: int
    macs: int
    _memory: npt.NDArray[np.uint8] = field(repr=False)


class Int8Program:
    """Steps in integers, their weights packed for vectors of `lanes` 32-bit numbers; see `Packing`."""

    def __init__(self, steps: list[Step], integers: Integers, lanes: int, less: int = 0) -> None:
        """Packs what `bcpnet.native.fusion.fuse` found in the graph that `separate` gave with `integers`.

        Raises:
            UnsupportedError: a step that the 8-bit engine does not have; the text names the node.
        """
        self._steps, self._integers, self._pack = steps, integers, Packing(lanes, less)
        self._lanes = lanes
        self._layers = []
        for step in steps:
            try:
                self._layers.append(self._packed(step))
            except UnsupportedError as error:
                raise UnsupportedError(f"{error}, node {step.node}") from error
        self._last_use = last_uses(steps)

    def place(self, size_hw: tuple[int, int], threads: int) -> PlacedInt8:
        """The layers for frames of that size; maps share memory where one is done with before the next begins."""
        sizes = [size_for(step.size, size_hw) for step in self._steps]
        pixels = [filled(step.channels, 4) for step in self._steps[:-1]] + [4 * self._steps[-1].channels]
        lengths = [height * width * pixel for (height, width), pixel in zip(sizes, pixels, strict=True)]
        offsets, total = offsets_of(lengths, self._last_use, _LINE)
        memory = _aligned(total + _LINE)  # vectors may be read past the last channel
        starts = [memory.ctypes.data + offset for offset in offsets]
        layers = joined(self._layers, self._steps, size_hw, starts, lengths, "bytes")
        for layer in layers:
            layer.tile_height, layer.tile_width = self._tile(layer, threads)
        logits = memory[offsets[-1] :][: lengths[-1]].view(np.float32)
        planes = logits.reshape(-1, *sizes[-1]).transpose(1, 2, 0)
        return PlacedInt8(layers, planes, memory.nbytes, macs_of(self._steps, size_hw), memory)

    def _packed(self, step: Step) -> CInt8Layer:
        layer = CInt8Layer(n_sources=len(step.sources), stride=1, channels=step.front_channels)
        layer.pitch = filled(step.front_channels, 4)
        for at, source in enumerate(step.sources):
            layer.sources[at].sampling, layer.sources[at].scale = source.sampling, source.factor
        if step.gate is not None or step.squeeze or (step.project is None and not step.pool):
            raise UnsupportedError("squeeze and excite in integers")
        if step.project is None:
            layer.kind = POOL
            return layer
        self._pack_project(layer, step, step.project)
        if step.depthwise is None:
            if step.sources[0].step is None:
                raise UnsupportedError("a first convolution without a depthwise one behind it")
            layer.kind = POINTWISE
            return layer
        layer.kind = SEPARABLE
        front = self._pack_front(layer, step, step.depthwise.inputs[0])
        layer.front_zero = front.zero_point
        conv = self._conv(step.depthwise)
        if conv.weights.shape[2:] != (3, 3):
            raise UnsupportedError("a depthwise convolution in integers that is not 3x3")
        layer.stride = step.depthwise.stride
        layer.depthwise, layer.depthwise_bytes = self._pack.depthwise(conv.weights)
        layer.depthwise_requantising = self._pack.requantising(conv, self._written(step.depthwise.node))
        return layer

    def _pack_front(self, layer: CInt8Layer, step: Step, front: Value) -> Grid:
        """What the depthwise convolution reads; returns its grid."""
        if step.expand is not None:
            of_frame = step.sources[0].step is None
            conv = self._conv(step.expand)
            layer.front = FRONT_FRAME if of_frame else FRONT_EXPAND
            layer.frame_zero = conv.reads.zero_point
            grid = self._written(step.expand.node)
            layer.expand = self._pack.frame(conv, grid) if of_frame else self._pack.product(conv, grid, front=True)
            return grid
        if front.made_by != "sum":
            layer.front = FRONT_COPY
            return self._source_grid(step, 0)
        if step.front_activation != Activation(Kind.SWISH):
            raise UnsupportedError("a weighted sum in integers without swish")
        layer.front = FRONT_SUM
        grid = self._written(front.node)
        for at in range(len(step.sources)):
            layer.sources[at].zero_point = self._source_grid(step, at).zero_point
        layer.swish_scale = grid.scale
        _require_moderate(sum(abs(source.factor) for source in step.sources) / float(grid.scale))
        return grid

    def _pack_project(self, layer: CInt8Layer, step: Step, project: Value) -> None:
        conv, last = self._conv(project), step is self._steps[-1]
        if last and step.node in self._integers.grids:
            raise UnsupportedError("logits in integers")
        layer.as_floats = last
        own = None if last else self._written(project.node)
        layer.project = self._pack.product(conv, own)
        if step.residual is None:
            return
        terms, whole = self._integers.summed.get(step.node, {}), self._integers.grids.get(step.node)
        reads, other = terms.get(project.node), terms.get(self._steps[step.residual].node)
        if reads is None or other is None or whole is None or own is None:
            raise UnsupportedError("a shortcut that is not a sum of two maps in integers")
        own_scale, scale = reads.scale / whole.scale, other.scale / whole.scale
        _require_moderate(float(own_scale) + float(scale))
        zero = scale * np.float32(other.zero_point) + own_scale * np.float32(reads.zero_point)
        layer.own_scale, layer.residual_scale = own_scale, scale
        layer.residual_offset = np.float32(whole.zero_point) - zero

    def _written(self, node: str) -> Grid:
        grid = self._integers.grids.get(node)
        if grid is None:
            raise UnsupportedError(f"{node}, which is read as bytes and not written as these")
        return grid

    def _source_grid(self, step: Step, at: int) -> Grid:
        source = step.sources[at].step
        if source is None:
            raise UnsupportedError("a sum of the frame")
        return self._written(self._steps[source].node)

    def _conv(self, value: Value) -> IntegerConv:
        if value.activation != NO_ACTIVATION or value.node not in self._integers.convs:
            raise UnsupportedError("a convolution with an activation that is not done by where bytes end")
        return self._integers.convs[value.node]

    def _tile(self, layer: CInt8Layer, threads: int) -> tuple[int, int]:
        """Height and width of the tiles that a layer's output is cut into: fit for the cache, some for every thread."""
        width = layer.out_width
        tile_width = width
        if layer.kind == SEPARABLE:
            most = max(_LEAST_COLUMNS, _WINDOW // (4 * layer.stride * filled(layer.channels, self._lanes)))
            tile_width = even_part(width, -(-width // most))
        return tile_rows(layer.out_height, -(-width // tile_width), threads), tile_width


def _require_moderate(scale: float) -> None:
    """A byte times that is a number that can be rounded before it is clipped."""
    if not 255 * scale < MOST_NUMBER:
        raise UnsupportedError("a sum whose terms are too large for what it is written as")


def _aligned(length: int) -> npt.NDArray[np.uint8]:
    """Bytes at an address that a cache line starts at."""
    memory = np.zeros(length + _LINE, np.uint8)
    skip = -memory.ctypes.data % _LINE
    return memory[skip : skip + length]
