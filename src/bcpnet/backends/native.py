"""Our own engine (bcpnet.native): fused layers on the CPU, in float32 or, of quantised files, in 8-bit integers.

It reads the files that `bcpnet export` writes.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcpnet.backends.base import OpenedBackend, PerProcess
from bcpnet.errors import InputError, UsageError
from bcpnet.machine import usable_cores
from bcpnet.metadata import of_onnx, require_logits
from bcpnet.native import kernels, library
from bcpnet.native.fusion import fuse
from bcpnet.native.int8 import int8_kernels
from bcpnet.native.int8.program import Int8Program, PlacedInt8
from bcpnet.native.int8.separate import is_quantised, separate
from bcpnet.native.onnx_file import Graph, read_onnx
from bcpnet.native.program import Placed, Program
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.native.structures import NO_MEMORY, REFUSED

_SIZES_KEPT = 4  # input sizes whose layers stay in memory, in each thread that calls


class NativeBackend(OpenedBackend):
    """Runs an exported network. See `bcpnet.backends.base.Backend`."""

    name = "native"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Loads `path`; `threads` is the number of CPU threads, by default one per core that this process may use.

        Raises:
            UsageError: the engine was not compiled, or does not run such a network.
            InputError: missing, not ONNX, damaged, or without bcpnet's metadata.
        """
        super().__init__(path, threads)
        engine = library()
        if engine is None or kernels() is None or int8_kernels() is None:
            raise UsageError(
                "the backend native was not compiled: install a C compiler (on Debian: apt install gcc), "
                "then bcpnet again; or use the backend onnxruntime"
            )
        try:
            graph = read_onnx(path)
            for output in graph.outputs:
                require_logits(output.name, str(path))
            self._program, self._run, classes = _opened(engine, graph)
        except UnsupportedError as error:
            raise UsageError(
                f"{path}: the backend native does not run this network ({error}); use the backend onnxruntime"
            ) from error
        except MemoryError as error:
            raise InputError(f"{path}: not enough memory for its weights") from error
        self.metadata = of_onnx(graph.metadata, classes, str(path))
        self.threads = threads or usable_cores()
        self._pool = PerProcess(partial(_Pool, engine, self.threads)) if self.threads > 1 else None
        self._of_thread = threading.local()

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """N x H x W x 3 uint8 images, RGB -> N x K x ceil(H/8) x ceil(W/8) logits.

        Raises:
            InputError: there is not enough memory.
        """
        if len(images) == 1:
            return self._one(np.ascontiguousarray(images[0]))[None]
        return np.stack([self._one(np.ascontiguousarray(image)) for image in images])

    def macs(self, size_hw: tuple[int, int]) -> int:
        """Multiply-adds of one frame of that size."""
        return self._placed(size_hw).macs

    def _one(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        height, width, _ = image.shape
        failed = f"the backend native failed on {height}x{width} pixels: not enough memory"
        try:
            placed = self._placed((height, width))
        except MemoryError as error:
            raise InputError(failed) from error
        for layer in placed.layers:
            layer.frame, layer.frame_bytes = image.ctypes.data, image.nbytes
        if self._pool is None:
            done = self._run(None, placed.layers, len(placed.layers))
        else:
            pool = self._pool.get()
            with pool.is_free:
                done = self._run(pool.handle, placed.layers, len(placed.layers))
        if done == NO_MEMORY:
            raise InputError(failed)
        if done == REFUSED:  # a fault of ours; better than what would come of reading elsewhere
            raise InputError(f"the backend native failed on {height}x{width} pixels: use the backend onnxruntime")
        return placed.logits.transpose(2, 0, 1).copy()

    def _placed(self, size_hw: tuple[int, int]) -> Placed | PlacedInt8:
        """The layers for that size, the calling thread's own: they hold its tensors."""
        sizes: dict[tuple[int, int], Placed | PlacedInt8] = self._of_thread.__dict__.setdefault("sizes", {})
        placed = sizes.pop(size_hw, None)
        if placed is None:
            while len(sizes) >= _SIZES_KEPT:
                del sizes[next(iter(sizes))]
            placed = self._program.place(size_hw, self.threads)
        sizes[size_hw] = placed  # the last used comes last
        return placed


def _opened(engine: ctypes.CDLL, graph: Graph) -> tuple[Program | Int8Program, Callable[..., int], int]:
    """The network for the kernels of this CPU, what runs its layers in a pool, and the number of its classes."""
    if is_quantised(graph):
        floats, integers = separate(graph)
        steps, best = fuse(floats), int8_kernels()
        in_integers = Int8Program(steps, integers, engine.bcpnet_int8_lanes(best), engine.bcpnet_int8_less(best))
        return in_integers, partial(engine.bcpnet_int8_run, best), steps[-1].channels
    steps, best = fuse(graph), kernels()
    program = Program(steps, engine.bcpnet_lanes(best), engine.bcpnet_widest(best))
    return program, partial(engine.bcpnet_run, best), steps[-1].channels


class _Pool:
    """The engine's threads beside the caller's own, for one call at a time."""

    def __init__(self, engine: ctypes.CDLL, threads: int) -> None:
        self.handle = engine.bcpnet_pool(threads - 1)
        self.is_free = threading.Lock()
        if self.handle is not None:  # no memory: the caller's thread does the work
            weakref.finalize(self, engine.bcpnet_pool_free, self.handle)
