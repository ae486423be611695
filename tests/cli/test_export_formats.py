"""`bcpnet export --format` and `--size`: files for phones and boards."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Cli, assert_one_line, files
from media_files import scene
from PIL import Image

from bcpnet.backends import open_backend

pytest.importorskip("onnx_ir", reason="export needs onnx-ir")


def test_onnx_of_one_size(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "fixed.onnx"
    ran = cli("export", "--weights", onnx_path, "--size", "48x64", out)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{out}: ")
    assert "the class of 100 % of the pixels of synthetic streets is the same in ONNX Runtime" in ran.out
    assert files(out.parent) == {"fixed.onnx"}
    photo = tmp_path / "photo.png"
    Image.fromarray(scene(0, 60, 80)).save(photo)
    predict = ("predict", photo, "--weights", out, "--out", tmp_path / "results")
    assert cli(*predict, "--size", "48x64").code == 0
    refused = cli(*predict)
    assert_one_line(refused.err)
    assert "made for frames of 1x48x64x3" in refused.err
    assert open_backend(out).metadata == open_backend(onnx_path).metadata


def test_litert(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT files need ai-edge-litert")
    out = tmp_path / "out" / "network.tflite"
    ran = cli("export", "--weights", onnx_path, "--format", "litert", "--size", "48x64", out)
    assert (ran.code, ran.err) == (0, "")
    assert "% of the pixels of synthetic streets is the same in LiteRT" in ran.out
    assert files(out.parent) == {"network.tflite"}


def test_litert_in_integers(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT files need ai-edge-litert")
    photo = tmp_path / "photo.png"
    Image.fromarray(scene(0, 60, 80)).save(photo)
    out = tmp_path / "int8.tflite"
    ran = cli("export", "--weights", onnx_path, "--int8", photo, "--format", "litert", "--size", "48x64", out)
    assert (ran.code, ran.err.count("\n") <= 1) == (0, True)
    assert "8-bit integers: the class of" in ran.out
    assert "is the same in LiteRT" in ran.out


def test_ncnn(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    for package in ("ncnn", "pnnx"):
        pytest.importorskip(package, reason="NCNN files need the packages ncnn and pnnx")
    out = tmp_path / "out" / "network.param"
    ran = cli("export", "--weights", onnx_path, "--format", "ncnn", "--size", "48x64", out)
    assert (ran.code, ran.err) == (0, "")
    assert files(out.parent) == {"network.param", "network.bin"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--format litert {out}.tflite", "--format litert: give the frames' size too"),
        ("--format litert --size 48x64 {out}.onnx", "must end in .tflite"),
        ("--format ncnn --size 48x64 {out}.bin", "must end in .param"),
        ("--size 48x64 {out}.tflite", "must end in .onnx"),
        ("--size 48 {out}.onnx", "need HEIGHTxWIDTH"),
        ("--size 48x64 --class-map {out}.onnx", "leave out --size and --format"),
        ("--size 48x64 --triton {out}", "leave out --size and --format"),
        ("--format ncnn --size 48x64 --int8 {photo} {out}.param", "in floats only"),
    ],
)
def test_wrong_calls(arguments: str, message: str, cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "out" / "x"
    Image.fromarray(scene(0, 60, 80)).save(photo)
    out.parent.mkdir()
    words = [word.format(photo=photo, out=out) for word in arguments.split()]
    ran = cli("export", "--weights", onnx_path, *words)
    assert_one_line(ran.err)
    assert ran.code == 2
    assert message in ran.err
    assert files(out.parent) == set()
