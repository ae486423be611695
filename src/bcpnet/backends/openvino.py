"""OpenVINO on the CPU, from the same ONNX files: needs the extra `bcpnet[openvino]`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import openvino
from openvino.properties import hint, inference_num_threads

from bcpnet.backends.base import OpenedBackend, PerProcess, SizeChanges, never_free
from bcpnet.backends.onnxruntime import OnnxRuntimeBackend, open_session, require_taken, takes
from bcpnet.errors import InputError
from bcpnet.storage.damaged import damage, reason

_LAYERS_KEPT = 64  # prepared for one input size each
_PROCESS = os.getpid()  # that OpenVINO was loaded in

Run = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


@cache
def _core() -> openvino.Core:
    """One for the process: with the last one goes the memory of the signal stack that its CPU plugin gave the thread,
    and the next signal, Ctrl-C for one, is a segmentation fault. Nor does a forked process free it: that would wait for
    threads which exist in the parent alone.
    """
    core = openvino.Core()
    never_free(core)
    return core


class OpenVinoBackend(OpenedBackend):
    """Runs an exported network. See `bcpnet.backends.base.Backend`.

    In a process that was forked after OpenVINO was loaded, whose locks may then be taken for good, ONNX Runtime does.
    """

    name = "openvino"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Loads `path`; `threads` is the number of CPU threads, by default OpenVINO's choice.

        Raises:
            InputError: as `bcpnet.backends.onnxruntime.open_session`.
        """
        super().__init__(path, threads)
        self._sizes = SizeChanges()
        # ONNX Runtime reads the metadata and turns bad files away: OpenVINO tries every format it knows on
        # them and writes to stderr about each.
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session, self.metadata = open_session(path, options)
        self.takes, self._path = takes(session), path
        try:
            self._run = PerProcess(partial(_compiled, path.absolute(), threads))
        except damage("openvino") as error:
            raise InputError(f"{path}: OpenVINO does not run this network ({reason(error)})") from error

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """N x H x W x 3 uint8 images, RGB -> N x K x ceil(H/8) x ceil(W/8) logits.

        Raises:
            InputError: OpenVINO fails, which it does where the memory is not enough.
        """
        require_taken(images, self.takes, self._path)
        self._sizes.see(images.shape)
        count, height, width, _ = images.shape
        failed = f"OpenVINO failed on {count} x {height}x{width} pixels"
        try:
            return self._run.get()(images)
        except RuntimeError as error:
            raise InputError(f"{failed}: {str(error).splitlines()[-1]}") from error


def _compiled(path: Path, threads: int | None) -> Run:
    return _Compiled(path, threads).run if os.getpid() == _PROCESS else OnnxRuntimeBackend(path, threads)


class _Compiled:
    """A network compiled by OpenVINO, and its requests: each holds the input and output of one call at a time."""

    def __init__(self, path: Path, threads: int | None) -> None:
        settings: dict[Any, Any] = {
            hint.performance_mode: hint.PerformanceMode.LATENCY,
            # Left alone, OpenVINO computes in bfloat16 on CPUs that have it, and differs from all others.
            hint.inference_precision: openvino.Type.f32,
            # By default 5,000: memory would grow by some 15 MiB with each new size of pictures.
            "CPU_RUNTIME_CACHE_CAPACITY": _LAYERS_KEPT,
        }
        if threads:
            settings[inference_num_threads] = threads
        self._model = _core().compile_model(path, "CPU", settings)
        # The first array that becomes a tensor sets something up, in which two threads at once wait for each other
        # forever: let it be this one.
        openvino.Tensor(np.zeros(1, np.uint8))
        self._idle: list[openvino.InferRequest] = []

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The logits. Raises RuntimeError."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._model.create_infer_request()
        try:
            logits: npt.NDArray[np.float32] = request.infer(images)[0]
            if len(logits) != len(images):  # what it returns, without a word, where it gets no memory
                raise RuntimeError("no result; the memory may not be enough")
        except RuntimeError:
            never_free((self, request))  # after a failure OpenVINO 2026.4 frees some of it twice
            raise
        self._idle.append(request)
        return logits
