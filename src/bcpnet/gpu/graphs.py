"""CUDA graphs: all kernels of an image in one launch, with host buffers that the GPU copies from and to directly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from bcpnet.gpu.network import GpuNetwork
from bcpnet.gpu.upsample import upsample_argmax

_KEPT = 8  # graphs that wait for a next call; a large one holds some hundred MB

# PyTorch collects garbage and waits for the whole device before it records.
_recording = threading.Lock()


class Job(NamedTuple):
    """What a graph is recorded for.

    Attributes:
        shape: of the frames, N H W 3.
        size_hw: of the class maps, in pixels; None asks for logits.
    """

    shape: tuple[int, int, int, int]
    size_hw: tuple[int, int] | None


class Graph:
    """One network recorded for one job, with buffers and a stream of its own: for one thread at a time.

    Attributes:
        frames: N H W 3 uint8 on the GPU: what `replay` reads.
        result: on the GPU, what `replay` writes: N H W uint8 class maps, or N K h w float32 logits.
        stream: where it runs.
    """

    def __init__(self, network: GpuNetwork, job: Job, device: torch.device) -> None:
        """Compiles what is not yet compiled, then records. Raises RuntimeError where CUDA fails, or memory ends."""
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # missing in its stubs
        self._recorded = torch.cuda.CUDAGraph()
        with _recording, torch.inference_mode(), torch.cuda.device(device):
            self.frames = torch.zeros(job.shape, dtype=torch.uint8, device=device)
            self._given = torch.empty(job.shape, dtype=torch.uint8, pin_memory=True)
            self.stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(self.stream):
                _compute(network, self.frames, job.size_hw)
            # Other threads may go on using the GPU meanwhile.
            with torch.cuda.graph(self._recorded, stream=self.stream, capture_error_mode="thread_local"):
                self.result = _compute(network, self.frames, job.size_hw)
            self._taken = torch.empty(self.result.shape, dtype=self.result.dtype, pin_memory=True)

    def replay(self) -> None:
        """Queues the computation of `result` from `frames`, on `stream`."""
        with torch.cuda.stream(self.stream):
            self._recorded.replay()

    def __call__(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """N H W 3 uint8 frames in, class maps or logits out, both in the host's memory."""
        np.copyto(self._given.numpy(), frames)
        with torch.inference_mode(), torch.cuda.stream(self.stream):
            self.frames.copy_(self._given, non_blocking=True)
            self._recorded.replay()
            self._taken.copy_(self.result, non_blocking=True)
        self.stream.synchronize()
        result: npt.NDArray[Any] = self._taken.numpy().copy()
        return result


def _compute(network: GpuNetwork, frames: torch.Tensor, size_hw: tuple[int, int] | None) -> torch.Tensor:
    logits = network(frames)
    return logits if size_hw is None else upsample_argmax(logits, size_hw)


class Graphs:
    """The graphs of one network: recorded when first needed, then kept, the last used longest."""

    def __init__(self, network: GpuNetwork, device: torch.device) -> None:
        """Records nothing yet."""
        self._network, self._device = network, device
        self._lock = threading.Lock()
        self._idle: list[tuple[Job, Graph]] = []  # the last used last

    @contextmanager
    def lend(self, job: Job) -> Iterator[Graph]:
        """A graph for `job` that nobody else uses meanwhile. Raises RuntimeError as `Graph`."""
        graph = self._take(job) or Graph(self._network, job, self._device)
        yield graph  # after an error it is dropped
        with self._lock:
            self._idle.append((job, graph))
            del self._idle[:-_KEPT]

    def _take(self, job: Job) -> Graph | None:
        with self._lock:
            for index in reversed(range(len(self._idle))):
                if self._idle[index][0] == job:
                    return self._idle.pop(index)[1]
        return None
