"""`bcpnet export`: to floats, to 8-bit integers, to class maps."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from command_line import Cli, assert_one_line, files
from media_files import scene
from PIL import Image

from bcpnet.backends import open_backend
from bcpnet.cli import export
from bcpnet.media.sources import BadFrame, Frame, MediaItem, frames

pytest.importorskip("onnx_ir", reason="export needs onnx-ir")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three small pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(scene(index, 45, 61)).save(folder / f"{index}.png")
    return folder


def test_a_checkpoint_to_integers(cli: Cli, checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "int8.onnx"
    out.parent.mkdir()
    ran = cli("export", "--weights", checkpoint, "--int8", photos, out)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{out}: ")
    assert "logits differ from PyTorch's" in ran.out  # of the floats on the way
    assert "% of the logit cells of 3 images is unchanged" in ran.out
    assert files(out.parent) == {"int8.onnx"}
    assert "calibrated on 3 images" in open_backend(out).metadata.provenance
    assert cli("predict", photos, "--weights", out, "--out", tmp_path / "results").code == 0

    # The paper's network, with squeeze-and-excite and hard swish, which have no integer form and stay in floats. Its
    # weights are random and sixty layers carry rounding far; logits that had nothing to do with its own would give 0.
    images = np.stack([scene(index, 64, 96) for index in range(2)])
    exact, rounded = (open_backend(weights)(images) for weights in (checkpoint, out))
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.8


def test_a_file_to_integers_and_class_maps(cli: Cli, onnx_path: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "classes.onnx"
    ran = cli("export", "--weights", onnx_path, "--int8", photos / "*.png", "--class-map", out)
    assert (ran.code, ran.err) == (0, "")
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    (class_map,) = session.run(["class_map"], {"images": scene(0, 45, 61)[None]})
    assert (class_map.dtype, class_map.shape) == (np.uint8, (1, 45, 61))
    refused = cli("predict", photos, "--weights", out, "--out", tmp_path / "results")
    assert_one_line(refused.err)
    assert refused.code == 1
    assert "returns class maps" in refused.err


def test_images_are_not_held_all_at_once(
    cli: Cli, onnx_path: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[weakref.ref[object]] = []

    def one_by_one(items: list[MediaItem]) -> Iterator[Frame | BadFrame]:
        for frame in frames(items):
            assert isinstance(frame, Frame)
            assert all(image() is None for image in decoded[:-1])  # all but the one before
            decoded.append(weakref.ref(frame.image))
            yield frame

    monkeypatch.setattr(export, "frames", one_by_one)
    ran = cli("export", "--weights", onnx_path, "--int8", photos, tmp_path / "int8.onnx")
    assert (ran.code, len(decoded)) == (0, 3), ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("--weights {onnx} {out}", 2, "is ONNX already"),
        ("--weights camvid-int8 {out}", 2, "do not ship as .safetensors, only as .onnx"),
        ("--weights {onnx} --int8 {photos}/none.png {out}", 1, "none.png"),
        ("--weights {onnx} --int8 {photos}/broken.png {out}", 1, "broken.png"),
        ("--weights {onnx} --int8 {photos}/clip.mp4 {out}", 2, "clip.mp4: is a video; --int8 needs images"),
        ("--weights {onnx} --int8 {photos} {out}.txt", 2, "the name must end in .onnx"),
        ("--weights camvid-int8 --int8 {photos}/0.png {out}", 1, "is quantised already"),
        ("--weights none --int8 {photos}/0.png {out}", 2, "unknown weights 'none'"),
    ],
)
def test_wrong_calls(
    arguments: str, code: int, message: str, cli: Cli, onnx_path: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "broken.png").write_bytes(b"no picture")
    (photos / "clip.mp4").write_bytes(b"no clip")
    out = tmp_path / "out" / "x.onnx"
    out.parent.mkdir()
    words = [word.format(onnx=onnx_path, photos=photos, out=out) for word in arguments.split()]
    ran = cli("export", *words)
    assert_one_line(ran.err)
    assert ran.code == code
    assert message in ran.err
    assert files(out.parent) == set()


def test_quantised_weights_need_a_backend_that_reads_onnx(cli: Cli, photos: Path, tmp_path: Path) -> None:
    ran = cli("predict", photos, "--weights", "camvid-int8", "--backend", "pytorch", "--out", tmp_path / "results")
    assert_one_line(ran.err)
    assert ran.code == 2
    assert "'camvid-int8' do not ship as .safetensors, only as .onnx" in ran.err
