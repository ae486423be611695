"""Every backend says the same, and says clearly what it cannot open."""

from __future__ import annotations

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest
from one_convolution import make_kernel, write_onnx

from bcpnet import weights
from bcpnet.backends import BACKENDS, open_backend
from bcpnet.backends.base import Backend
from bcpnet.errors import InputError, UsageError
from bcpnet.labels import ClassSet
from bcpnet.metadata import KEY, Metadata

TWO_CLASSES = Metadata("bcpnet", {}, ClassSet("pair", ("a", "b"), ((0, 0, 0), (9, 9, 9))), 360)

OF_ONNX = [
    pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}"))
    for name in ("onnxruntime", "openvino")
]


@pytest.fixture(scope="module", params=OF_ONNX)
def backend(request: pytest.FixtureRequest, onnx_path: Path) -> Backend:
    return open_backend(onnx_path, request.param, threads=1)


def _reference(frames: npt.NDArray[np.uint8], kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    images = (frames.transpose(0, 3, 1, 2).astype(np.float64) - 128) / 128
    padded = np.pad(images, ((0, 0), (0, 0), (4, 4), (4, 4)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (9, 9), axis=(2, 3))[:, :, ::8, ::8]
    return np.einsum("nchwyx,kcyx->nkhw", windows, kernel)


@pytest.mark.parametrize("shape", [(1, 32, 32, 3), (1, 45, 71, 3), (2, 64, 40, 3)])
def test_equals_reference(backend: Backend, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    logits = backend(images)
    assert logits.dtype == np.float32
    assert logits.shape == (shape[0], 11, -(-shape[1] // 8), -(-shape[2] // 8))
    expected = _reference(images, make_kernel())
    # bfloat16, what some runtimes would rather compute in, is off by a hundred times this.
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())


def test_a_result_outlives_the_next_call(backend: Backend) -> None:
    images = np.ones((1, 40, 40, 3), np.uint8)
    logits = backend(images)
    kept = logits.copy()
    backend(255 - images)
    np.testing.assert_array_equal(logits, kept)


def test_knows_its_metadata(backend: Backend) -> None:
    assert backend.name in BACKENDS
    assert backend.metadata.short_side == 360
    assert backend.metadata.provenance == "made by a test"
    assert backend.metadata.classes.names[3] == "road"


@pytest.mark.parametrize("name", OF_ONNX)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "not an ONNX file, or a damaged one"),
        (b"a text file\n" * 100, "not an ONNX file, or a damaged one"),
        ("truncated", "not an ONNX file, or a damaged one"),
        ({}, r"without bcpnet's metadata .*bcpnet export"),
        ({KEY: "{"}, "metadata cannot be read"),
        ({KEY: TWO_CLASSES.to_json()}, "its network has 11 classes, its metadata names 2"),
    ],
)
def test_bad_files(
    name: str,
    content: bytes | str | dict[str, str] | None,
    message: str,
    tmp_path: Path,
    onnx_path: Path,
) -> None:
    path = tmp_path / "network.onnx"
    if content == "truncated":
        content = onnx_path.read_bytes()[:5000]
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        write_onnx(path, content)
    with pytest.raises(InputError, match=message) as raised:
        open_backend(path, name)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("weights", "name", "error", "message"),
    [
        ("network.onnx", "tensorrt", UsageError, "choose from native, onnxruntime, openvino, pytorch"),
        ("camvid", "", UsageError, "unknown backend ''"),
        ("no-such-weights", None, UsageError, "unknown weights 'no-such-weights'"),
        ("network.onnx", "pytorch", UsageError, r"reads \.safetensors files"),
        ("network.safetensors", "onnxruntime", UsageError, "bcpnet export --weights network.safetensors"),
        ("network.safetensors", "openvino", UsageError, "bcpnet export --weights network.safetensors"),
        ("network.pth", None, InputError, "pickled weights are never loaded"),
        ("last.CKPT", "pytorch", InputError, "pickled weights are never loaded"),
    ],
)
def test_wrong_calls(weights: str, name: str | None, error: type[InputError], message: str) -> None:
    with pytest.raises(error, match=message):
        open_backend(weights, name)


def test_threads_must_be_positive(onnx_path: Path) -> None:
    with pytest.raises(UsageError, match="0 threads"):
        open_backend(onnx_path, threads=0)


@pytest.mark.parametrize(("name", "package", "extra"), [("openvino", "openvino", "openvino")])
def test_missing_extra(name: str, package: str, extra: str, onnx_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"bcpnet.backends.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(UsageError, match=rf'needs the package {package}: .*pip install "\.\[{extra}\]"'):
        open_backend(onnx_path, name)


def test_shipped_weights_are_found_by_name(onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.onnx").write_bytes(onnx_path.read_bytes())
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    assert weights.shipped() == ["mine"]
    assert weights.path_of("mine", ".onnx") == tmp_path / "mine.onnx"
    assert open_backend("mine").name == "onnxruntime"
    with pytest.raises(UsageError, match="bcpnet ships mine"):
        open_backend("other")
    with pytest.raises(UsageError, match=r"do not ship as \.safetensors"):
        open_backend("mine", "pytorch")


@pytest.mark.parametrize("name", BACKENDS)
def test_calls_from_several_threads_do_not_mix(name: str) -> None:
    pytest.importorskip({"pytorch": "torch"}.get(name, name))
    if not weights.shipped():
        pytest.skip("no weights ship in this checkout")
    backend = open_backend(weights.shipped()[0], name, threads=1)
    random = np.random.default_rng(0)
    batches = [random.integers(0, 256, (1, 360, 480, 3), np.uint8) for _ in range(16)]
    expected = [backend(images) for images in batches]
    with ThreadPoolExecutor(4) as pool:
        for logits, wanted in zip(pool.map(backend, batches), expected, strict=True):
            np.testing.assert_allclose(logits, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("outcome", [np.empty((0, 0, 0, 0), np.float32), RuntimeError("Check failed\nno memory")])
def test_openvino_out_of_memory_is_one_line(outcome: object, onnx_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What OpenVINO does where `ulimit -v` is too low for the image: mostly an empty result, without a word.
    openvino = pytest.importorskip("openvino")
    answer = Mock(side_effect=outcome) if isinstance(outcome, Exception) else Mock(return_value=[outcome])
    monkeypatch.setattr(openvino.InferRequest, "infer", answer)
    backend = open_backend(onnx_path, "openvino")
    with pytest.raises(InputError, match=r"OpenVINO failed on 2 x 40x48 pixels: (no result|no memory)") as raised:
        backend(np.ones((2, 40, 48, 3), np.uint8))
    assert "\n" not in str(raised.value)
