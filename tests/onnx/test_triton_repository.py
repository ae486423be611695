"""`bcpnet export --triton`: what Triton's own definition of a configuration reads from it, and that the model fits."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import bcpnet
from bcpnet.cli import main
from bcpnet.labels import CAMVID

pytest.importorskip("onnx_ir", reason="export needs onnx-ir")


def test_a_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="has Triton's definition")
    text_format = pytest.importorskip("google.protobuf.text_format", reason="reads it")
    assert main(["export", "--triton", str(tmp_path / "models")]) == 0
    folder = tmp_path / "models" / "camvid"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config.pbtxt",
        "1/model.onnx",
    }
    assert str(folder / "config.pbtxt") in capsys.readouterr().out
    config = text_format.Parse((folder / "config.pbtxt").read_text(), configs.ModelConfig())
    assert (config.name, config.backend) == ("camvid", "onnxruntime")
    assert config.parameters["classes"].string_value.split(",") == list(CAMVID.names)

    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    for ports, described in ((session.get_inputs(), config.input), (session.get_outputs(), config.output)):
        assert [port.name for port in ports] == [port.name for port in described]
        for port, own in zip(ports, described, strict=True):
            assert port.type == "tensor(uint8)"
            assert own.data_type == configs.DataType.Value("TYPE_UINT8")
            # Of Triton's dimensions the first, that of a batch, is left out; -1 is any size.
            assert [size if isinstance(size, int) else -1 for size in port.shape[1:]] == list(own.dims)
            assert not isinstance(port.shape[0], int)

    frames = np.random.default_rng(0).integers(0, 256, (config.max_batch_size, 64, 96, 3), np.uint8)
    (class_maps,) = session.run([config.output[0].name], {config.input[0].name: frames})
    segmenter = bcpnet.load("camvid", size_hw=(64, 96))
    assert np.mean(class_maps == [segmenter(frame).class_map for frame in frames]) > 0.999


@pytest.mark.parametrize("arguments", [[], ["out.onnx", "--triton", "models"]])
def test_a_file_or_a_repository(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == 2
    assert "--triton" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_names_are_written_so_that_they_are_read_back() -> None:
    from bcpnet.onnx.triton import _text

    text_format = pytest.importorskip("google.protobuf.text_format", reason="reads them")
    configs = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="has Triton's definition")
    for name in ("camvid", 'a "name"', "back\\slash", "ä", "'", sys.executable):
        assert text_format.Parse(f"name: {_text(name)}", configs.ModelConfig()).name == name
