"""ONNX files that return class maps: what `upsample_argmax` makes of the logits, for programs without bcpnet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from bcpnet.backends import open_backend
from bcpnet.errors import InputError
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.metadata import KEY, Metadata
from bcpnet.native import library
from bcpnet.weights import path_of

onnx = pytest.importorskip("onnx", reason="the class map is appended with onnx-ir, checked with onnx")

from bcpnet.onnx import class_map  # noqa: E402
from bcpnet.onnx.class_map import write_class_map_onnx  # noqa: E402


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("class_map") / "classes.onnx"
    assert write_class_map_onnx(path_of("camvid", ".onnx"), out) < 1e-3
    return out


def test_the_file_is_valid_and_says_what_it_returns(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    onnx.checker.check_model(path, full_check=True)
    onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert capfd.readouterr() == ("", "")
    model = onnx.load(path)
    (output,) = model.graph.output
    assert output.name == "class_map"
    assert [axis.dim_param for axis in output.type.tensor_type.shape.dim] == ["batch", "height", "width"]
    assert [value.name for value in model.graph.input] == ["frames"]
    assert output.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert "class ids" in output.doc_string
    (entry,) = (entry.value for entry in model.metadata_props if entry.key == KEY)
    assert Metadata.from_json(entry, "it") == open_backend("camvid").metadata


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("shape", [(1, 33, 47, 3), (2, 96, 128, 3), (1, 120, 161, 3)])
def test_class_maps_are_those_of_the_logits(path: Path, runtime: str, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    if runtime == "openvino":
        openvino = pytest.importorskip("openvino")
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        class_maps = openvino.Core().compile_model(path, "CPU", settings)(images)[0]
    else:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (class_maps,) = session.run(["class_map"], {"frames": images})
    assert class_maps.dtype == np.uint8
    expected = np.stack([upsample_argmax(logits, (shape[1], shape[2])) for logits in open_backend("camvid")(images)])
    assert class_maps.shape == expected.shape
    assert (class_maps != expected).mean() < 1e-3  # where two classes tie within float rounding


@pytest.mark.usefixtures("cache_folder")
@pytest.mark.parametrize("backend", ["native", "onnxruntime", "openvino", "auto", None])
def test_bcpnet_does_not_take_it_for_weights(path: Path, backend: str | None) -> None:
    if backend == "openvino":
        pytest.importorskip(backend)
    if backend == "native" and library() is None:
        pytest.skip("bcpnet.native was not compiled")
    with pytest.raises(InputError, match=r"classes\.onnx: returns class maps, for other programs"):
        open_backend(path, backend)
    with pytest.raises(InputError, match=r"classes\.onnx: returns class maps"):
        write_class_map_onnx(path, path.with_name("again.onnx"))
    assert not path.with_name("again.onnx").exists()


def test_a_file_that_disagrees_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_map, "upsample_argmax", lambda logits, size_hw: upsample_argmax(logits, size_hw)[::-1])
    with pytest.raises(InputError, match=r"classes\.onnx: not kept: \d+.\d% of the pixels"):
        write_class_map_onnx(path_of("camvid", ".onnx"), tmp_path / "classes.onnx")
    assert list(tmp_path.iterdir()) == []
