"""A network ready for the C engine: weights packed for this CPU's vectors, tensors placed for each frame size."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bcpnet.native.fusion import Step
from bcpnet.native.sizes import Doubled, MapSize
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
# Rows of a tile: above and below it, rows of the front are computed twice.
_GOOD_ROWS = 16
_LEAST_ROWS = 4  # where there would be nothing to do for some threads
_SIDE_BY_SIDE = 8  # tiles per thread, so that none waits long for the last
_BEHIND = 16  # floats behind a tensor that are read with its last vector, and not used: the widest vector's


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
        self._last_use = list(range(len(steps)))
        for index, step in enumerate(steps):
            for used in _used(step):
                self._last_use[used] = index

    def place(self, size_hw: tuple[int, int], threads: int) -> Placed:
        """The layers for frames of that size; tensors share memory where one is done with before the next begins."""
        sizes = [_of_frame(step.size, size_hw) for step in self._steps]
        lengths = [height * width * step.channels for (height, width), step in zip(sizes, self._steps, strict=True)]
        offsets, total = _offsets(lengths, self._last_use)
        memory = _aligned(total + 64)  # vectors may be read past the last channel
        starts = [memory[offset:].ctypes.data for offset in offsets]
        layers = (CLayer * len(self._steps))()
        macs = 0
        for index, step in enumerate(self._steps):
            layer = layers[index]
            ctypes.pointer(layer)[0] = self._layers[index]
            front = _of_frame(step.front_size, size_hw)
            layer.height, layer.width = front
            layer.out_height, layer.out_width = sizes[index]
            layer.frame_height, layer.frame_width = size_hw
            for at, source in enumerate(step.sources):
                if source.step is None:
                    continue
                layer.sources[at].data, layer.sources[at].floats = starts[source.step], lengths[source.step] + _BEHIND
                layer.sources[at].height, layer.sources[at].width = sizes[source.step]
            if step.residual is not None:
                layer.residual, layer.residual_floats = starts[step.residual], lengths[step.residual] + _BEHIND
            if step.gate is not None:
                layer.gate, layer.gate_floats = starts[step.gate], lengths[step.gate] + _BEHIND
            layer.out, layer.out_floats = starts[index], lengths[index]
            layer.tile_height, layer.tile_width = _tile(layer, threads)
            macs += _macs(step, front, sizes[index])
        logits = memory[offsets[-1] :][: lengths[-1]].reshape(*sizes[-1], self._steps[-1].channels)
        return Placed(layers, logits, memory.nbytes, macs, memory)

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


def _used(step: Step) -> list[int]:
    used = [source.step for source in step.sources] + [step.residual, step.gate]
    return [index for index in used if index is not None]


def _of_frame(size: MapSize | None, size_hw: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a map for a frame of that size."""
    if size is None:
        return 1, 1
    height, width = size
    assert not isinstance(height, Doubled)
    assert not isinstance(width, Doubled)
    return height.of(size_hw[0]), width.of(size_hw[1])


def _aligned(length: int) -> Floats:
    """Floats at an address that a cache line starts at."""
    memory = np.zeros(length + 16, np.float32)
    skip = -(memory.ctypes.data // 4) % 16
    return memory[skip : skip + length]


def _offsets(lengths: list[int], last_use: list[int]) -> tuple[list[int], int]:
    """Where each tensor lies, first fit: no two that are needed at the same time overlap. And the length of it all."""
    offsets: list[int] = []
    for index, length in enumerate(lengths):
        alive = sorted(
            (offsets[other], offsets[other] + lengths[other]) for other in range(index) if last_use[other] >= index
        )
        at = 0
        for start, end in alive:
            if at + length <= start:
                break
            at = max(at, -(-end // 16) * 16)
        offsets.append(at)
    return offsets, max(offset + length for offset, length in zip(offsets, lengths, strict=True))


def _tile(layer: CLayer, threads: int) -> tuple[int, int]:
    """Height and width of the tiles that a layer's output is cut into: fit for the cache, some for every thread."""
    height, width = layer.out_height, layer.out_width
    tile_width = width
    if layer.kind == SEPARABLE:
        most = max(16, _RING // (layer.kernel * layer.stride * layer.channels))
        tile_width = _even(width, -(-width // most))
    if threads == 1:
        return height, tile_width
    across = -(-width // tile_width)
    down = max(
        min(-(-_SIDE_BY_SIDE * threads // across), height // _GOOD_ROWS),
        min(-(-threads // across), height // _LEAST_ROWS),
        1,
    )
    while down > threads and across * down % threads:  # the last round shall keep all threads busy
        down -= 1
    return _even(height, down), tile_width


def _even(length: int, parts: int) -> int:
    return -(-length // parts)


def _macs(step: Step, front_hw: tuple[int, int], out_hw: tuple[int, int]) -> int:
    pixels_out = out_hw[0] * out_hw[1]
    pixels_in = 1 if step.squeeze else front_hw[0] * front_hw[1]
    of_front = 0 if step.expand is None else step.expand.weights.size * pixels_in
    after = sum(conv.weights.size for conv in (step.depthwise, step.project) if conv is not None)
    return of_front + after * pixels_out


def _c_activation(activation: Activation) -> CActivation:
    return CActivation(activation.kind, activation.low, activation.high)
