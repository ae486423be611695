"""Weights that bcpnet does not know run in the engine only if ONNX Runtime says the same of one frame."""

from __future__ import annotations

import builtins
import shutil
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from small_networks import NETWORKS, write

from bcpnet import native
from bcpnet.backends import open_backend, self_check
from bcpnet.backends.native import NativeBackend
from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
from bcpnet.backends.self_check import DisagreementError
from bcpnet.errors import InputError
from bcpnet.weights import path_of

pytestmark = pytest.mark.skipif(native.library() is None, reason="the C library was not compiled here (no C compiler)")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(NETWORKS["separable"](), tmp_path / "small.onnx")


def opened_by_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    opened = []
    open_it = OnnxRuntimeBackend.__init__

    def init(backend: OnnxRuntimeBackend, path: Path, threads: int | None = None) -> None:
        opened.append(path)
        open_it(backend, path, threads)

    monkeypatch.setattr(OnnxRuntimeBackend, "__init__", init)
    return opened


def test_unknown_weights_are_run_once_in_both(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = opened_by_onnxruntime(monkeypatch)
    assert open_backend(small).name == "native"
    assert opened == [small]


def test_copies_of_weights_that_ship_are_known_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = opened_by_onnxruntime(monkeypatch)
    copy = Path(shutil.copy(path_of("camvid", ".onnx"), tmp_path / "mine.onnx"))
    assert open_backend(copy, threads=1).name == "native"
    assert opened == []
    copy.write_bytes(copy.read_bytes() + b"\x10\x01")  # one more model version: the same network in another file
    open_backend(copy, threads=1)
    assert opened == [copy]


@pytest.mark.parametrize("wrong", ["other", "nan", "shape"])
def test_other_logits_are_refused_and_said_once(wrong: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = NativeBackend.__call__

    def call(backend: NativeBackend, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        logits = right(backend, images)
        if wrong == "shape":
            return logits[..., 1:]
        logits[0, 0, 1, 1] = np.nan if wrong == "nan" else logits[0, 0, 1, 1] + 0.01 * np.abs(logits).max()
        return logits

    monkeypatch.setattr(NativeBackend, "__call__", call)
    with pytest.raises(DisagreementError, match=r"small\.onnx: .*differ from ONNX Runtime's .*use the backend onnxr"):
        open_backend(small, "native")
    with pytest.warns(UserWarning, match="which runs it now") as said:
        assert open_backend(small).name == "onnxruntime"
    assert len(said) == 1


def test_rounding_is_no_difference(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = NativeBackend.__call__
    monkeypatch.setattr(
        NativeBackend, "__call__", lambda backend, images: right(backend, images) * np.float32(1 + 1e-5)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_backend(small).name == "native"


def test_what_onnxruntime_refuses_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine may not know why; the runtime that defines what the file means does."""

    def init(*_: object) -> None:
        raise InputError(f"{small}: damaged")

    monkeypatch.setattr(OnnxRuntimeBackend, "__init__", init)
    with pytest.raises(InputError, match="damaged"):
        open_backend(small)


@pytest.mark.parametrize("backend", [None, "native", "onnxruntime", "openvino"])
@pytest.mark.parametrize("fixed", [False, True])
def test_a_network_whose_logits_are_no_numbers_is_refused(fixed: bool, backend: str | None, tmp_path: Path) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    model = NETWORKS["separable"]()
    if fixed:
        for axis, size in enumerate((1, 64, 96)):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    open_backend(write(model, tmp_path / "good.onnx"), None if fixed and backend == "native" else backend)
    for weights in model.graph.initializer:
        if len(weights.dims) == 4:
            weights.raw_data = np.full(weights.dims, 1e30, np.float32).tobytes()  # finite; what comes of them is not
    bad = write(model, tmp_path / "bad.onnx")
    if backend == "native":
        with pytest.raises(InputError, match=r"bad\.onnx: "):
            open_backend(bad, "native")
        return
    with pytest.raises(InputError, match=r"bad\.onnx: its network gives logits that are not finite"):
        open_backend(bad, backend)


def test_without_onnxruntime_the_engine_runs_unchecked(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "bcpnet.backends.onnxruntime":
            raise ImportError("no onnxruntime here")
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    self_check.require_agreement(NativeBackend(small, 1), small)


def test_a_checkpoint_whose_logits_are_no_numbers_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint

    network, metadata = load_checkpoint(path_of("camvid", ".safetensors"))
    save_checkpoint(tmp_path / "good.safetensors", network, metadata)
    open_backend(tmp_path / "good.safetensors", "pytorch")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1e30)
    save_checkpoint(tmp_path / "bad.safetensors", network, metadata)
    with pytest.raises(InputError, match=r"bad\.safetensors: its network gives logits that are not finite"):
        open_backend(tmp_path / "bad.safetensors", "pytorch")
