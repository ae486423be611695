"""OpenVINO on the CPU, from the same ONNX files: needs the extra `bcpnet[openvino]`."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import openvino
from openvino.properties import hint, inference_num_threads

from bcpnet.backends.onnxruntime import open_session
from bcpnet.errors import InputError


@cache
def _core() -> openvino.Core:
    """One for the process: with the last one goes the memory of the signal stack that its CPU plugin gave the thread,
    and the next signal, Ctrl-C for one, is a segmentation fault.
    """
    return openvino.Core()


class OpenVinoBackend:
    """Runs an exported network. See `bcpnet.backends.base.Backend`."""

    name = "openvino"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Loads `path`; `threads` is the number of CPU threads, by default OpenVINO's choice.

        Raises:
            InputError: as `bcpnet.backends.onnxruntime.open_session`.
        """
        # ONNX Runtime reads the metadata and turns bad files away: OpenVINO tries every format it knows on
        # them and writes to stderr about each.
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        _, self.metadata = open_session(path, options)
        settings = {
            hint.performance_mode: hint.PerformanceMode.LATENCY,
            # Left alone, OpenVINO computes in bfloat16 on CPUs that have it, and differs from all others.
            hint.inference_precision: openvino.Type.f32,
        }
        if threads:
            settings[inference_num_threads] = threads
        self._model = _core().compile_model(path, "CPU", settings)
        # The first array that becomes a tensor sets something up, in which two threads at once wait for each other
        # forever: let it be this one.
        openvino.Tensor(np.zeros(1, np.uint8))
        # A request holds the input and output of one call at a time; the model's own is shared by all threads.
        self._of_thread = threading.local()

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """N x H x W x 3 uint8 images, RGB -> N x K x ceil(H/8) x ceil(W/8) logits.

        Raises:
            InputError: OpenVINO fails, which it does where the memory is not enough.
        """
        count, height, width, _ = images.shape
        failed = f"OpenVINO failed on {count} x {height}x{width} pixels"
        try:
            if not hasattr(self._of_thread, "request"):
                self._of_thread.request = self._model.create_infer_request()
            logits: npt.NDArray[np.float32] = self._of_thread.request.infer(images)[0]
        except RuntimeError as error:
            raise InputError(f"{failed}: {str(error).splitlines()[-1]}") from error
        if len(logits) != count:  # what it returns, without a word, where it gets no memory
            raise InputError(f"{failed}: no result; the memory may not be enough")
        return logits
