"""The runtimes that can run a network, opened by the weights' name or path."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, cast

from bcpnet.backends.base import Backend, OpenedBackend
from bcpnet.backends.self_check import DisagreementError, require_agreement, require_numbers
from bcpnet.errors import InputError, UsageError
from bcpnet.machine import check_threads, default_threads
from bcpnet.weights import resolve, shipped


class _Entry(NamedTuple):
    """Where a backend is, which weights it reads, and the extra that installs what it needs."""

    class_name: str  # in bcpnet.backends.NAME
    suffix: str
    extra: str


# A new backend is a file beside this one and a line here.
_TABLE = {
    "native": _Entry("NativeBackend", ".onnx", "all"),
    "onnxruntime": _Entry("OnnxRuntimeBackend", ".onnx", "all"),
    "openvino": _Entry("OpenVinoBackend", ".onnx", "openvino"),
    "pytorch": _Entry("PytorchBackend", ".safetensors", "train"),
    "cuda_fp16": _Entry("CudaFp16Backend", ".safetensors", "train"),
}
# Those that compute in float32, on any machine: they agree but for rounding. The others run when asked for.
BACKENDS = tuple(name for name in _TABLE if name != "cuda_fp16")


def weights_suffix(name: str) -> str:
    """The kind of file that backend `name` reads: ".onnx" or ".safetensors". Raises UsageError for an unknown name."""
    if name not in _TABLE:
        raise UsageError(f"unknown backend {name!r}: choose from {', '.join(_TABLE)}, auto")
    return _TABLE[name].suffix


def open_backend(
    weights: str | Path,
    name: str | None = None,
    threads: int | None = None,
    size_hw: tuple[int, int] | None = None,
) -> Backend:
    """Loads weights into a runtime; imports that runtime and no other.

    Args:
        weights: a name of `bcpnet.weights.shipped()`, the path of a .onnx or .safetensors file, or the folder of a run.
        name: one of BACKENDS; by default "pytorch" for a .safetensors file (or a run), and for all else "native" where
            it was compiled and runs such a network, "onnxruntime" where not. "auto" = the fastest here, by a trial that
            is remembered (`bcpnet.backends.auto`). "cuda_fp16" = float16 on an NVIDIA GPU.
        threads: number of CPU threads; by default the runtime's own choice, or, where CPU affinity or a container's
            quota leaves this process fewer cores than the machine has, as many as these.
        size_hw: for "auto": of the network's input; by default what a 16:9 frame is resized to.

    Raises:
        UsageError: an unknown backend or name of weights, weights of a kind that the backend does not read,
            a runtime that is not installed, or a number of threads that cannot be meant.
        InputError: the weights cannot be read, or are a pickle.
    """
    check_threads(threads)
    if name is None and resolve(weights, ".onnx").suffix.lower() != ".safetensors":
        try:
            return open_backend(weights, "native", threads)
        except UsageError as error:
            if isinstance(error, DisagreementError):
                warnings.warn(f"{error}, which runs it now", stacklevel=2)
            name = "onnxruntime"
    elif name is None:
        name = "pytorch"
    if name == "auto":
        from bcpnet.backends.auto import choose  # which imports this module

        name = choose(weights, size_hw, threads).backend
    suffix = weights_suffix(name)
    path = resolve(weights, suffix)
    if path.suffix.lower() != suffix:
        advice = (
            f"convert it with `bcpnet export --weights {weights} OUT.onnx`, or use the backend pytorch"
            if suffix == ".onnx"
            else "give the .safetensors file it was exported from, or use another backend"
        )
        raise UsageError(f"{weights}: the backend {name} reads {suffix} files; {advice}")
    backend = _TABLE[name]
    try:
        with _without("openvino_telemetry"):
            module = import_module(f"bcpnet.backends.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(
            f'the backend {name} needs the package {error.name}: in the checkout, pip install ".[{backend.extra}]"'
        ) from error
    try:
        opened: OpenedBackend = getattr(module, backend.class_name)(path, threads or default_threads())
        if name == "native":
            require_agreement(cast(Backend, opened), path)
        elif name in BACKENDS:
            require_numbers(cast(Backend, opened), opened.takes, path)
    except InputError as error:  # weights that ship are known by name, not by where they lie
        raise type(error)(str(error).replace(str(path), str(weights))) from error
    # The other process may have them elsewhere, or other cores.
    opened.reopen = partial(open_backend, weights if weights in shipped() else path.absolute(), name, threads)
    return cast(Backend, opened)


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Imports as where `package` is not installed.

    Beside the runtime OpenVINO has a converter, which nothing here uses: it reports to its makers, and a user without a
    home cannot load it. Without the package for that it is quiet.
    """
    is_new = package not in sys.modules
    if is_new:
        sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if is_new:
            del sys.modules[package]
