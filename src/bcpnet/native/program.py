"""A network ready for the C engine: weights packed for this CPU's vectors, tensors placed for each frame size."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bcpnet.native.fusion import Step
from bcpnet.native.placing import even_part, joined, last_uses, macs_of, offsets_of, size_for, tile_rows
from bcpnet.native.structures import (
    FRONT_EXPAND,
    FRONT_FRAME,
    FRONT_SUM,
    GATE,
    POINTWISE,
    POOL,
    SCALE,
    SEPARABLE,
    CActivation,
    CLayer,
    CProduct,
)
from bcpnet.native.values import Activation, Floats, Value

# Floats of a tile's ring of rows: a quarter of a megabyte, which second-level caches hold.
_RING = 65536
_LINE = 16  # floats of a cache line


@dataclass(frozen=True)
class Placed:
    """The layers for one input size, in memory of their own.

    Attributes:
        layers: array of C structures.
        logits: h x w x K view of where the last layer writes.
        tensors_bytes: memory of all tensors between layers.
        macs: multiply-adds of one run.
    """

    layers: ctypes.Array[Any]
    logits: Floats
    tensors_bytes: int
    macs: int
    _memory: Floats = field(repr=False)


class Program:
    """Steps with their weights packed for vectors of `lanes` floats, in panels of up to `widest` vectors."""

    def __init__(self, steps: list[Step], lanes: int, widest: int) -> None:
        """Packs what `bcpnet.native.fusion.fuse` found."""
        self._steps, self._lanes, self._widest = steps, lanes, widest
        self._kept: dict[tuple[int, str], Floats] = {}  # the packed weights, which the layers point at
        self._layers = [self._packed(step) for step in steps]
        self._last_use = last_uses(steps)

    def place(self, size_hw: tuple[int, int], threads: int) -> Placed:
        """The layers for frames of that size; tensors share memory where one is done with before the next begins."""
        sizes = [size_for(step.size, size_hw) for step in self._steps]
        lengths = [height * width * step.channels for (height, width), step in zip(sizes, self._steps, strict=True)]
        offsets, total = offsets_of(lengths, self._last_use, _LINE)
        memory = _aligned(total + 64)  # vectors may be read past the last channel
        starts = [memory[offset:].ctypes.data for offset in offsets]
        layers = joined(self._layers, self._steps, size_hw, starts, lengths, "floats")
        for layer in layers:
            layer.tile_height, layer.tile_width = _tile(layer, threads)
        logits = memory[offsets[-1] :][: lengths[-1]].reshape(*sizes[-1], self._steps[-1].channels)
        return Placed(layers, logits, memory.nbytes, macs_of(self._steps, size_hw), memory)

    def _packed(self, step: Step) -> CLayer:
        layer = CLayer(mean=step.frame_mean, n_sources=len(step.sources), kernel=1, stride=1)
        for at, source in enumerate(step.sources):
            layer.sources[at].sampling, layer.sources[at].factor = source.sampling, source.factor
        if step.project is None:
            layer.kind, layer.channels = POOL if step.pool else SCALE, step.channels
            return layer
        layer.project = self._product(step.project)
        if step.squeeze:
            assert step.expand is not None
            layer.kind, layer.channels = GATE, step.front_channels
            layer.expand = self._product(step.expand)
            return layer
        if step.depthwise is None:
            layer.kind = POINTWISE
            layer.front = FRONT_FRAME if step.sources[0].step is None else FRONT_SUM
            return layer
        layer.kind, layer.channels = SEPARABLE, step.front_channels
        layer.front_activation = _c_activation(step.front_activation)
        layer.front = FRONT_SUM
        if step.expand is not None:
            layer.front = FRONT_FRAME if step.sources[0].step is None else FRONT_EXPAND
            layer.expand = self._product(step.expand)
        kernel = step.depthwise.weights.shape[2]
        layer.kernel, layer.stride = kernel, step.depthwise.stride
        taps, bias = (
            self._kept_once(step.depthwise.weights, self._taps),
            self._kept_once(step.depthwise.bias, self._whole),
        )
        layer.depthwise, layer.depthwise_floats = taps.ctypes.data, taps.size
        layer.depthwise_bias, layer.depthwise_bias_floats = bias.ctypes.data, bias.size
        layer.depthwise_activation = _c_activation(step.depthwise.activation)
        return layer

    def _product(self, conv: Value) -> CProduct:
        weights, bias = self._kept_once(conv.weights, self._panels), self._kept_once(conv.bias, self._whole)
        return CProduct(
            weights.ctypes.data,
            bias.ctypes.data,
            weights.size,
            bias.size,
            conv.weights[0].size,
            len(conv.weights),
            _c_activation(conv.activation),
        )

    def _panels(self, weights: Floats) -> Floats:
        """K x C x k x k, as matrix products read it: inputs in the order of the pixels, rows, columns, channels."""
        columns = self._whole(weights.transpose(2, 3, 1, 0).reshape(-1, len(weights)))
        vectors, panels, at = columns.shape[1] // self._lanes, [], 0
        while vectors:
            taken = min(vectors, self._widest - (vectors == self._widest + 1))
            panels.append(columns[:, at : at + taken * self._lanes].reshape(-1))
            at, vectors = at + taken * self._lanes, vectors - taken
        return np.concatenate(panels)

    def _taps(self, weights: Floats) -> Floats:
        """C x 1 x k x k, as depthwise convolutions read it: taps, then channels."""
        return self._whole(weights.reshape(len(weights), -1).T)

    def _whole(self, rows: Floats) -> Floats:
        """The last axis filled up with zeros to whole vectors."""
        missing = -rows.shape[-1] % self._lanes
        return np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, missing)])

    def _kept_once(self, values: Floats, pack: Callable[[Floats], Floats]) -> Floats:
        """`values` packed and aligned; those that several steps use, once."""
        key = id(values), pack.__name__
        if key not in self._kept:
            packed = pack(values)
            self._kept[key] = _aligned(packed.size)
            self._kept[key][:] = packed.reshape(-1)
        return self._kept[key]


def _aligned(length: int) -> Floats:
    """Floats at an address that a cache line starts at."""
    memory = np.zeros(length + _LINE, np.float32)
    skip = -(memory.ctypes.data // 4) % _LINE
    return memory[skip : skip + length]


def _tile(layer: CLayer, threads: int) -> tuple[int, int]:
    """Height and width of the tiles that a layer's output is cut into: fit for the cache, some for every thread."""
    height, width = layer.out_height, layer.out_width
    tile_width = width
    if layer.kind == SEPARABLE:
        most = max(16, _RING // (layer.kernel * layer.stride * layer.channels))
        tile_width = even_part(width, -(-width // most))
    return tile_rows(height, -(-width // tile_width), threads), tile_width


def _c_activation(activation: Activation) -> CActivation:
    return CActivation(activation.kind, activation.low, activation.high)
