"""The runtimes that can run a network, opened by the weights' name or path."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from bcpnet.backends.base import Backend
from bcpnet.errors import UsageError
from bcpnet.weights import resolve


class _Entry(NamedTuple):
    """Where a backend is, which weights it reads, and the extra that installs what it needs."""

    class_name: str  # in bcpnet.backends.NAME
    suffix: str
    extra: str


# A new backend is a file beside this one and a line here.
_TABLE = {
    "onnxruntime": _Entry("OnnxRuntimeBackend", ".onnx", "all"),
    "openvino": _Entry("OpenVinoBackend", ".onnx", "openvino"),
    "pytorch": _Entry("PytorchBackend", ".safetensors", "train"),
}
BACKENDS = tuple(_TABLE)


def open_backend(weights: str | Path, name: str | None = None, threads: int | None = None) -> Backend:
    """Loads weights into a runtime; imports that runtime and no other.

    Args:
        weights: a name of `bcpnet.weights.shipped()`, or the path of a .onnx or .safetensors file.
        name: one of BACKENDS; by default "pytorch" for a .safetensors file, "onnxruntime" for all else.
        threads: number of CPU threads; by default the runtime's own choice.

    Raises:
        UsageError: an unknown backend or name of weights, weights of a kind that the backend does not read,
            or a runtime that is not installed.
        InputError: the weights cannot be read, or are a pickle.
    """
    if name is None:
        name = "pytorch" if Path(weights).suffix.lower() == ".safetensors" else "onnxruntime"
    if name not in _TABLE:
        raise UsageError(f"unknown backend {name!r}: choose from {', '.join(BACKENDS)}")
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads: need at least 1")
    backend = _TABLE[name]
    path = resolve(weights, backend.suffix)
    if path.suffix.lower() != backend.suffix:
        advice = (
            f"convert it with `bcpnet export --weights {weights} OUT.onnx`, or use the backend pytorch"
            if backend.suffix == ".onnx"
            else "give the .safetensors file it was exported from, or use the backend onnxruntime or openvino"
        )
        raise UsageError(f"{weights}: the backend {name} reads {backend.suffix} files; {advice}")
    try:
        module = import_module(f"bcpnet.backends.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(
            f'the backend {name} needs the package {error.name}: in the checkout, pip install ".[{backend.extra}]"'
        ) from error
    opened: Backend = getattr(module, backend.class_name)(path, threads)
    return opened
