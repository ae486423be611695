"""ONNX Runtime on the CPU: the default, and all that the base install needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from bcpnet.errors import InputError
from bcpnet.metadata import Metadata, of_onnx, require_logits

# What a file can do to ONNX Runtime; its exceptions share no base class.
_LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class OnnxRuntimeBackend:
    """Runs an exported network. See `bcpnet.backends.base.Backend`."""

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Loads `path`; `threads` is the number of CPU threads, by default one per physical core.

        Raises:
            InputError: as `open_session`.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._session, self.metadata = open_session(path, options)
        self._input_name = self._session.get_inputs()[0].name

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """N x H x W x 3 uint8 images, RGB -> N x K x ceil(H/8) x ceil(W/8) logits.

        Raises:
            InputError: ONNX Runtime fails, which it does where the memory is not enough.
        """
        try:
            logits: npt.NDArray[np.float32] = self._session.run(None, {self._input_name: images})[0]
        except (ort_errors.Fail, ort_errors.RuntimeException) as error:
            count, height, width, _ = images.shape
            reason = str(error).splitlines()[0].rpartition("Status Message: ")[2]
            raise InputError(f"ONNX Runtime failed on {count} x {height}x{width} pixels: {reason}") from error
        return logits


def open_session(path: Path, options: ort.SessionOptions) -> tuple[ort.InferenceSession, Metadata]:
    """A CPU session on an ONNX file written by bcpnet, and the metadata in it.

    Raises:
        InputError: missing, not ONNX, damaged, without bcpnet's metadata, or with another number of classes.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    options.log_severity_level = 4  # errors reach the user as exceptions, warnings not at all
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _LOAD_ERRORS as error:
        reason = str(error).splitlines()[0].rpartition("failed:")[2]
        raise InputError(f"{path}: not an ONNX file, or a damaged one ({reason})") from error
    output = session.get_outputs()[0]
    require_logits(output.name, str(path))
    metadata = of_onnx(session.get_modelmeta().custom_metadata_map, output.shape[1], str(path))
    if session.get_inputs()[0].type != "tensor(uint8)":
        raise InputError(f"{path}: takes floats, as bcpnet once wrote them; export its .safetensors again")
    return session, metadata
