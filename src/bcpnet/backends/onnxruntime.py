"""ONNX Runtime on the CPU: the default, and all that the base install needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from bcpnet.backends.base import OpenedBackend, PerProcess
from bcpnet.errors import InputError
from bcpnet.machine import NO_MORE_THREADS
from bcpnet.metadata import Metadata, of_onnx, require_logits
from bcpnet.storage.damaged import damage, reason, shortened
from bcpnet.storage.files import require_file

# Sizes of the frames that a file takes; None = any.
Sizes = tuple[int | None, ...]


class OnnxRuntimeBackend(OpenedBackend):
    """Runs an exported network. See `bcpnet.backends.base.Backend`."""

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Loads `path`; `threads` is the number of CPU threads, by default one per physical core.

        Raises:
            InputError: as `open_session`.
        """
        super().__init__(path, threads)
        path = path.absolute()

        def opens() -> tuple[ort.InferenceSession, Metadata]:
            options = ort.SessionOptions()
            options.intra_op_num_threads = threads or 0
            return open_session(path, options)

        self._opened = PerProcess(opens)
        session, self.metadata = self._opened.get()
        self._input_name = session.get_inputs()[0].name
        self.takes, self._name = takes(session), path

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """N x H x W x 3 uint8 images, RGB -> N x K x ceil(H/8) x ceil(W/8) logits.

        Raises:
            InputError: ONNX Runtime fails, which it does where the memory is not enough.
        """
        require_taken(images, self.takes, self._name)
        session, _ = self._opened.get()
        count, height, width, _ = images.shape
        try:
            logits: npt.NDArray[np.float32] = session.run(None, {self._input_name: images})[0]
        except damage("onnxruntime") as error:
            raise InputError(f"ONNX Runtime failed on {count} x {height}x{width} pixels: {_reason(error)}") from error
        if logits.ndim != 4 or len(logits) != count or logits.shape[1] != len(self.metadata.classes):
            raise InputError(f"{self._name}: gives {logits.shape} for {count} frames, not logits of its classes")
        return logits


def open_session(path: Path, options: ort.SessionOptions) -> tuple[ort.InferenceSession, Metadata]:
    """A CPU session on an ONNX file written by bcpnet, and the metadata in it.

    Raises:
        InputError: missing, not ONNX, damaged, without bcpnet's metadata, with another number of classes, or with
            other inputs and outputs than frames and logits.
    """
    require_file(path)
    options.log_severity_level = 4  # errors reach the user as exceptions, warnings not at all
    try:
        # Without the fallback, which prints on standard output and opens the file once more in the same way.
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        inputs, outputs = session.get_inputs(), session.get_outputs()
        entries = session.get_modelmeta().custom_metadata_map
    except damage("onnxruntime") as error:
        if "PosixThread" in str(error):
            raise InputError(NO_MORE_THREADS) from error
        raise InputError(f"{path}: not an ONNX file, or a damaged one ({_reason(error)})") from error
    for output in outputs:
        require_logits(output.name, str(path))
    if len(inputs) != 1 or len(outputs) != 1 or len(outputs[0].shape) != 4:
        shapes = [port.shape for port in (*inputs, *outputs)]
        raise InputError(f"{path}: is no network from frames to logits (its inputs and outputs: {shortened(shapes)})")
    metadata = of_onnx(entries, outputs[0].shape[1], str(path))
    if inputs[0].type != "tensor(uint8)":
        raise InputError(f"{path}: takes floats, as bcpnet once wrote them; export its .safetensors again")
    return session, metadata


def takes(session: ort.InferenceSession) -> Sizes:
    """Number, height, width and channels of the frames that a session takes."""
    return tuple(size if isinstance(size, int) else None for size in session.get_inputs()[0].shape)


def require_taken(images: npt.NDArray[np.uint8], sizes: Sizes, path: Path) -> None:
    """Raises InputError where `path` takes frames of fixed sizes and these are others."""
    if len(sizes) != 4 or any(size not in (None, given) for size, given in zip(sizes, images.shape, strict=True)):
        wanted, given = ("x".join("any" if size is None else str(size) for size in of) for of in (sizes, images.shape))
        raise InputError(
            f"{path}: was made for frames of {wanted} (number, height, width, channels) and got {given}: "
            "give it that size (--size HxW, size_hw=), or export it again with sizes left free"
        )


def _reason(error: Exception) -> str:
    """What ONNX Runtime says, without where in its sources."""
    said = reason(error)
    for before in ("Status Message: ", "failed:"):
        said = said.rpartition(before)[2]
    return said.strip()
