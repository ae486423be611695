"""Single layers of 8-bit networks with random shapes and weights, and what they must write: plain integers in NumPy."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet import native
from bcpnet.native.int8 import int8_kernels
from bcpnet.native.int8.packing import Packing, filled
from bcpnet.native.int8.requantise import Grid, IntegerConv, requantised
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

Bytes = npt.NDArray[np.uint8]
FRONTS = {"frame": FRONT_FRAME, "expand": FRONT_EXPAND, "copy": FRONT_COPY, "sum": FRONT_SUM}


@dataclass
class LayerMaker:
    """Fills in a layer, and computes what it writes; `rng` chooses the numbers."""

    rng: np.random.Generator
    lanes: int
    less: int = 0
    layer: CInt8Layer = field(default_factory=lambda: CInt8Layer(stride=1))
    kept: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pack = Packing(self.lanes, self.less)

    def grid(self, zero_point: int | None = None) -> Grid:
        """With a zero point of 0 as often as not: bytes are written in another way then."""
        zero = int(self.rng.integers(0, 256) * self.rng.integers(2)) if zero_point is None else zero_point
        return Grid(np.float32(self.rng.uniform(0.01, 0.5)), zero)

    def conv(self, *shape: int, reads: Grid, writes: Grid) -> IntegerConv:
        """Weights over all of their range, and scales by which some outputs saturate and most do not."""
        weights = self.rng.integers(-64, 65, shape).astype(np.int8)
        spread = 40 * 100 * np.sqrt(np.prod(shape[1:]))
        scales = self.rng.uniform(0.3, 2, shape[0]) * 100 / spread * float(writes.scale / reads.scale)
        bias = self.rng.integers(-int(spread), int(spread) + 1, shape[0]) + reads.zero_point * weights.sum((1, 2, 3))
        return IntegerConv(weights, bias.astype(np.int32), scales.astype(np.float32), reads)

    def map(self, height: int, width: int, channels: int) -> Bytes:
        """Bytes, and rubbish in the channels that fill a pixel up; in memory that ends 16 bytes after they begin."""
        pitch = filled(channels, 4)
        whole = self.rng.integers(0, 256, (height, width, pitch), np.uint8)
        self.kept.append(np.concatenate([whole.reshape(-1), np.zeros(filled(pitch, 16) - pitch, np.uint8)]))
        return whole[:, :, :channels]

    def source(self, at: int, of: Bytes, sampling: int = 0) -> None:
        memory = self.kept[-1]
        source = self.layer.sources[at]
        source.data, source.bytes, source.sampling = memory.ctypes.data, memory.nbytes, sampling
        source.height, source.width = of.shape[:2]
        self.layer.n_sources = at + 1

    def front(self, name: str, height: int, width: int, channels: int) -> tuple[Bytes, Grid]:
        """What the depthwise convolution reads."""
        layer = self.layer
        layer.kind, layer.front, layer.channels, layer.pitch = SEPARABLE, FRONTS[name], channels, filled(channels, 4)
        layer.height, layer.width = height, width
        reads, writes = self.grid(), self.grid()
        layer.front_zero = writes.zero_point
        if name == "frame":
            size = (2 * height - int(self.rng.integers(2)), 2 * width - int(self.rng.integers(2)))
            frame = self.rng.integers(0, 256, (*size, 3), np.uint8)
            self.kept.append(frame)
            layer.frame, layer.frame_bytes = frame.ctypes.data, frame.nbytes
            layer.frame_height, layer.frame_width, layer.frame_zero = *size, reads.zero_point
            conv = self.conv(channels, 3, 3, 3, reads=reads, writes=writes)
            layer.expand = self.pack.frame(conv, writes)
            padded = np.pad(frame.astype(np.int64), ((1, 1), (1, 1), (0, 0)), constant_values=reads.zero_point)
            sums = np.zeros((height, width, channels), np.int64)
            for y in range(3):
                for x in range(3):
                    part = padded[y : y + size[0] : 2, x : x + size[1] : 2]
                    sums += part @ conv.weights[:, :, y, x].T.astype(np.int64)
            return written(sums, conv, writes), writes
        if name == "expand":
            inputs = int(self.rng.integers(1, 71))
            source = self.map(height, width, inputs)
            self.source(0, source)
            conv = self.conv(channels, inputs, 1, 1, reads=reads, writes=writes)
            layer.expand = self.pack.product(conv, writes, front=True)
            return product(source, conv, writes), writes
        if name == "copy":
            source = self.map(height, width, channels)
            self.source(0, source)
            return source, writes
        return self._sum(height, width, channels, writes), writes

    def _sum(self, height: int, width: int, channels: int, writes: Grid) -> Bytes:
        self.layer.swish_scale = writes.scale
        total = np.zeros((height, width, channels), np.float32)
        for at in range(int(self.rng.integers(1, 4))):
            sampling = int(self.rng.integers(3))
            if sampling == 2:
                source = self.map(2 * height - int(self.rng.integers(2)), 2 * width - 1, channels)
                read = pooled(source)
            elif sampling == 1:
                source = self.map((height + 1) // 2, (width + 1) // 2, channels)
                read = source.repeat(2, 0).repeat(2, 1)[:height, :width]
            else:
                read = source = self.map(height, width, channels)
            self.source(at, source, sampling)
            of = self.layer.sources[at]
            of.zero_point, of.scale = int(self.rng.integers(0, 256)), float(writes.scale) * self.rng.uniform(-1, 1)
            total = total + (read.astype(np.float32) - np.float32(of.zero_point)) * np.float32(of.scale)
        exact = total.astype(np.float64)
        return clipped(np.rint(exact / (1 + np.exp(-exact)) / float(writes.scale)) + writes.zero_point)

    def depthwise(self, front: Bytes, reads: Grid, stride: int) -> tuple[Bytes, Grid]:
        writes = self.grid()
        conv = self.conv(front.shape[2], 1, 3, 3, reads=reads, writes=writes)
        self.layer.stride = stride
        self.layer.depthwise, self.layer.depthwise_bytes = self.pack.depthwise(conv.weights)
        self.layer.depthwise_requantising = self.pack.requantising(conv, writes)
        padded = np.pad(front.astype(np.int64), ((1, 1), (1, 1), (0, 0)), constant_values=reads.zero_point)
        sums = 0
        for y in range(3):
            for x in range(3):
                part = padded[y : y + front.shape[0] : stride, x : x + front.shape[1] : stride]
                sums = sums + part * conv.weights[:, 0, y, x].astype(np.int64)
        return written(np.asarray(sums), conv, writes), writes

    def identity(self, front: Bytes) -> Bytes:
        """Depthwise and 1x1 convolutions that leave everything as it is."""
        plain, channels = Grid(np.float32(1), 0), front.shape[2]
        ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.int32)
        centre = np.zeros((channels, 1, 3, 3), np.int8)
        centre[:, :, 1, 1] = 1
        conv = IntegerConv(centre, zeros, ones, plain)
        self.layer.depthwise, self.layer.depthwise_bytes = self.pack.depthwise(centre)
        self.layer.depthwise_requantising = self.pack.requantising(conv, plain)
        same = IntegerConv(np.eye(channels, dtype=np.int8)[:, :, None, None], zeros, ones, plain)
        self.layer.project = self.pack.product(same, plain)
        return front

    def project(self, read: Bytes, reads: Grid, outputs: int, how: str) -> npt.NDArray[Any]:
        writes = self.grid()
        conv = self.conv(outputs, read.shape[2], 1, 1, reads=reads, writes=writes)
        if how == "floats":
            self.layer.project, self.layer.as_floats = self.pack.product(conv, None), 1
            return scaled(read.astype(np.int64) @ conv.weights[:, :, 0, 0].T.astype(np.int64), conv, None)
        self.layer.project = self.pack.product(conv, writes)
        made = product(read, conv, writes)
        if how == "bytes":
            return made
        residual = self.map(*made.shape)
        memory = self.kept[-1]
        self.layer.residual, self.layer.residual_bytes = memory.ctypes.data, memory.nbytes
        own, other, offset = (np.float32(number) for number in self.rng.uniform((0.3, 0.3, -60), (1.2, 1.2, 0)))
        self.layer.own_scale, self.layer.residual_scale, self.layer.residual_offset = own, other, offset
        inner = (made * np.float64(own) + np.float64(offset)).astype(np.float32)  # fused: rounded once
        outer = (residual * np.float64(other) + inner).astype(np.float32)
        return clipped(np.rint(outer))

    def run(self, level: str, shape: tuple[int, int, int], tile_hw: tuple[int, int]) -> npt.NDArray[Any]:
        """What the kernels write: H x W x K."""
        engine, out = native.library(), self.laid_out(shape, tile_hw)
        assert engine is not None
        assert engine.bcpnet_int8_run(int8_kernels(level), None, ctypes.byref(self.layer), 1) == 1
        return self.written_to(out, shape)

    def laid_out(self, shape: tuple[int, int, int], tile_hw: tuple[int, int]) -> Bytes:
        """Memory for the output, which the layer writes to."""
        height, width, channels = shape
        pixel = 4 * channels if self.layer.as_floats else filled(channels, 4)
        out, layer = np.full(height * width * pixel, 171, np.uint8), self.layer
        layer.out_height, layer.out_width, layer.out, layer.out_bytes = height, width, out.ctypes.data, out.nbytes
        layer.tile_height, layer.tile_width = tile_hw
        self.kept.append(out)
        return out

    def written_to(self, out: Bytes, shape: tuple[int, int, int]) -> npt.NDArray[Any]:
        """The output in that memory."""
        if self.layer.as_floats:
            return out.view(np.float32).reshape(shape[2], *shape[:2]).transpose(1, 2, 0)
        return out.reshape(*shape[:2], -1)[:, :, : shape[2]]


def any_layer(maker: LayerMaker, kind: str, how: str) -> npt.NDArray[Any]:
    """A layer of that kind, "pool", "pointwise" or one of FRONTS, and what it writes; of "sum", at most one apart."""
    rng = maker.rng
    height, width = (int(length) for length in rng.integers(1, 24, 2))
    channels, outputs = (int(count) for count in rng.integers(1, 71, 2))
    if kind == "pool":
        return pool(maker, height, width, channels)
    if kind == "pointwise":
        return maker.project(*pointwise(maker, height, width, channels), outputs, how)
    read, grid = maker.front(kind, height, width, channels)
    if kind == "sum":
        return maker.identity(read)
    return maker.project(*maker.depthwise(read, grid, stride=int(rng.integers(1, 3))), outputs, how)


def pointwise(maker: LayerMaker, height: int, width: int, inputs: int) -> tuple[Bytes, Grid]:
    """A 1x1 convolution's input."""
    read = maker.map(height, width, inputs)
    maker.source(0, read)
    maker.layer.kind = POINTWISE
    return read, maker.grid()


def pool(maker: LayerMaker, height: int, width: int, channels: int) -> Bytes:
    """A pooling layer; returns what it writes."""
    source = maker.map(height, width, channels)
    maker.source(0, source)
    maker.layer.kind, maker.layer.channels, maker.layer.pitch = POOL, channels, filled(channels, 4)
    return pooled(source)


def product(read: Bytes, conv: IntegerConv, writes: Grid) -> Bytes:
    return written(read.astype(np.int64) @ conv.weights[:, :, 0, 0].T.astype(np.int64), conv, writes)


def scaled(sums: npt.NDArray[np.int64], conv: IntegerConv, writes: Grid | None) -> npt.NDArray[np.float32]:
    how = requantised(conv, writes)
    return (sums + how.start).astype(np.float32) * how.scale


def written(sums: npt.NDArray[np.int64], conv: IntegerConv, writes: Grid) -> Bytes:
    return clipped(np.rint(scaled(sums, conv, writes)) + writes.zero_point)


def clipped(numbers: npt.NDArray[Any]) -> Bytes:
    return np.clip(numbers, 0, 255).astype(np.uint8)


def pooled(source: Bytes) -> Bytes:
    height, width = ((length + 1) // 2 for length in source.shape[:2])
    padded = np.pad(source, ((1, 2), (1, 2), (0, 0)))
    parts = [padded[y : y + 2 * height : 2, x : x + 2 * width : 2] for y in range(3) for x in range(3)]
    return np.max([part[:height, :width] for part in parts], 0)
