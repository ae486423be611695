"""A network ready for the C engine: weights packed for this CPU's vectors, tensors placed for each frame size."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bcpnet.native.expressions import Activation, Floats, UnsupportedError, Value
from bcpnet.native.fusion import Sampling, Step, channels_of
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

# Floats of a tile's ring of rows: a quarter of a megabyte, which second-level caches hold.
_RING = 65536
# Rows of a tile: above and below it, rows of the front are computed twice.
_GOOD_ROWS = 16
_LEAST_ROWS = 4  # where there would be nothing to do for some threads
_SIDE_BY_SIDE = 8  # tiles per thread, so that none waits long for the last


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

    def __init__(self, steps: list[Step], mean: float, lanes: int, widest: int) -> None:
        """Packs; see `bcpnet.native.fusion.fuse` for `steps` and `mean`."""
        self._steps, self._mean, self._lanes, self._widest = steps, mean, lanes, widest
        self._kept: list[Floats] = []  # the packed weights, which the layers point at
        self._layers = [self._packed(step) for step in steps]
        self._last_use = list(range(len(steps)))
        for index, step in enumerate(steps):
            for used in _used(step):
                self._last_use[used] = index

    def place(self, size_hw: tuple[int, int], threads: int) -> Placed:
        """The layers for frames of that size; tensors share memory where one is done with before the next begins.

        Raises:
            UnsupportedError: a sum of maps whose sizes do not go together.
        """
        sizes, fronts = self._sizes(size_hw)
        channels = [channels_of(step, self._steps) for step in self._steps]
        lengths = [height * width * count for (height, width), count in zip(sizes, channels, strict=True)]
        offsets, total = _offsets(lengths, self._last_use)
        memory = _aligned(total + 64)  # vectors may be read past the last channel
        layers = (CLayer * len(self._steps))()
        macs = 0
        for index, step in enumerate(self._steps):
            layer = layers[index]
            ctypes.pointer(layer)[0] = self._layers[index]
            layer.height, layer.width = fronts[index]
            layer.out_height, layer.out_width = sizes[index]
            layer.frame_height, layer.frame_width = size_hw
            for at, source in enumerate(step.sources):
                if source.step is None:
                    continue
                layer.sources[at].data = memory[offsets[source.step] :].ctypes.data
                layer.sources[at].height, layer.sources[at].width = sizes[source.step]
            if step.residual is not None:
                layer.residual = memory[offsets[step.residual] :].ctypes.data
            if step.gate is not None:
                layer.gate = memory[offsets[step.gate] :].ctypes.data
            layer.out = memory[offsets[index] :].ctypes.data
            layer.tile_height, layer.tile_width = _tile(layer, threads)
            macs += _macs(step, fronts[index], sizes[index])
        last = len(self._steps) - 1
        logits = memory[offsets[last] :][: lengths[last]].reshape(*sizes[last], channels[last])
        return Placed(layers, logits, memory.nbytes, macs, memory)

    def _sizes(self, size_hw: tuple[int, int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Of each step: height and width of its output, and of its front."""
        sizes: list[tuple[int, int]] = []
        fronts: list[tuple[int, int]] = []
        for step in self._steps:
            first = step.sources[0]
            if first.step is None:
                front = _halved(size_hw)
            else:
                whole = [sizes[source.step or 0] for source in step.sources if source.sampling is Sampling.SAME]
                front = whole[0] if whole else _halved(sizes[first.step])
            for source in step.sources:
                given = size_hw if source.step is None else sizes[source.step]
                seen = _halved(given) if source.sampling is Sampling.POOLED or source.step is None else given
                if seen != (_halved(front) if source.sampling is Sampling.UPSAMPLED else front):
                    raise UnsupportedError(f"a sum of maps of {front} and {given}, node {step.node}")
            if step.squeeze:
                sizes.append((1, 1))
                fronts.append(front)
                continue
            out = _halved(front) if step.pool or (step.depthwise and step.depthwise.stride == 2) else front
            sizes.append(out)
            fronts.append(front)
        return sizes, fronts

    def _packed(self, step: Step) -> CLayer:
        layer = CLayer(mean=self._mean, n_sources=len(step.sources), kernel=1, stride=1)
        for at, source in enumerate(step.sources):
            layer.sources[at].sampling, layer.sources[at].factor = source.sampling, source.factor
        if step.project is None:
            layer.kind, layer.channels = POOL if step.pool else SCALE, channels_of(step, self._steps)
            return layer
        layer.project = self._product(step.project)
        if step.squeeze:
            assert step.expand is not None
            layer.kind, layer.channels = GATE, step.expand.weights.shape[1]
            layer.expand = self._product(step.expand)
            return layer
        if step.depthwise is None:
            layer.kind = POINTWISE
            layer.front = FRONT_FRAME if step.sources[0].step is None else FRONT_SUM
            return layer
        layer.kind, layer.channels = SEPARABLE, len(step.depthwise.weights)
        layer.front_activation = _c_activation(step.front_activation)
        layer.front = FRONT_SUM
        if step.expand is not None:
            layer.front = FRONT_FRAME if step.sources[0].step is None else FRONT_EXPAND
            layer.expand = self._product(step.expand)
        kernel = step.depthwise.weights.shape[2]
        layer.kernel, layer.stride = kernel, step.depthwise.stride
        layer.depthwise = self._keep(self._whole(step.depthwise.weights.reshape(-1, kernel * kernel).T))
        layer.depthwise_bias = self._keep(self._whole(step.depthwise.bias[None]))
        layer.depthwise_activation = _c_activation(step.depthwise.activation)
        return layer

    def _product(self, conv: Value) -> CProduct:
        # Inputs in the order of the pixels: rows, columns, channels.
        weights = self._whole(conv.weights.transpose(2, 3, 1, 0).reshape(-1, len(conv.weights)))
        vectors, panels, at = weights.shape[1] // self._lanes, [], 0
        while vectors:
            taken = min(vectors, self._widest - (vectors == self._widest + 1))
            panels.append(weights[:, at : at + taken * self._lanes].reshape(-1))
            at, vectors = at + taken * self._lanes, vectors - taken
        return CProduct(
            self._keep(np.concatenate(panels)),
            self._keep(self._whole(conv.bias[None])),
            len(weights),
            len(conv.weights),
            _c_activation(conv.activation),
        )

    def _whole(self, rows: Floats) -> Floats:
        """The last axis filled up with zeros to whole vectors."""
        missing = -rows.shape[1] % self._lanes
        return np.pad(rows, ((0, 0), (0, missing)))

    def _keep(self, values: Floats) -> int:
        kept = _aligned(values.size)
        kept[:] = values.reshape(-1)
        self._kept.append(kept)
        return kept.ctypes.data


def _used(step: Step) -> list[int]:
    used = [source.step for source in step.sources] + [step.residual, step.gate]
    return [index for index in used if index is not None]


def _halved(size_hw: tuple[int, int]) -> tuple[int, int]:
    return -(-size_hw[0] // 2), -(-size_hw[1] // 2)


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
