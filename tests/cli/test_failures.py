"""A full disk, a missing extra, one bad file among many; and odd images, which work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bad_things import HAS_TORCH, odd_images
from command_line import Cli, assert_one_line, files
from media_files import no_file_above
from PIL import Image

import bcpnet


@pytest.mark.filterwarnings("ignore:Palette images")  # Pillow, of the direct call
def test_odd_images_work(bad: Path, cli: Cli, tmp_path: Path) -> None:
    names = odd_images(tmp_path)
    out = tmp_path / "out"
    ran = cli("predict", tmp_path, "--weights", bad / "good.onnx", "--out", out)
    assert (ran.code, ran.err) == (0, "")
    segmenter = bcpnet.load(bad / "good.onnx")
    for name in names:
        size_hw = {"one_pixel.png": (1, 1), "one_row.png": (1, 40)}.get(name, (30, 40))
        class_map = np.asarray(Image.open(out / f"{Path(name).stem}.png"))
        assert class_map.shape == size_hw, name
        np.testing.assert_array_equal(class_map, segmenter(tmp_path / name).class_map)


def test_libraries_do_not_chatter(bad: Path, tmp_path: Path) -> None:
    """Pillow warns of some pictures; in a process of its own, where pytest does not catch it."""
    odd_images(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "bcpnet", "predict", tmp_path, "--weights", bad / "good.onnx", "--out", tmp_path / "o"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stderr == ""


def test_one_bad_line_per_bad_file(bad: Path, cli: Cli, tmp_path: Path) -> None:
    names = ["text.png", "good.png", "empty.png", "no_frames.mp4"]
    out = tmp_path / "out"
    ran = cli("predict", *(bad / name for name in names), "--weights", bad / "good.onnx", "--out", out, "--json",
              "--save", "classmap")  # fmt: skip
    assert ran.code == 1
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["path"] for line in lines] == [str(bad / name) for name in names]
    complaints = [line for line in ran.err.splitlines() if line.startswith("bcpnet: ")]
    assert [line["error"] for line in lines if "error" in line] == [
        line.removeprefix("bcpnet: ") for line in complaints
    ]
    assert files(out) == {"good.png"}


@pytest.mark.usefixtures("no_news")
@pytest.mark.parametrize("verb", ["image", "video", "sheet", "picture", "train"])
def test_full_disk(verb: str, bad: Path, cli: Cli, tmp_path: Path) -> None:
    if verb == "train" and not HAS_TORCH:
        pytest.skip("needs PyTorch")
    out = tmp_path / "out"
    predict = "--weights {bad}/good.onnx --out {out} --save"
    arguments, size = {
        "image": (f"predict {{bad}}/good.png {predict} colour", 1000),
        "video": (f"predict {{bad}}/good.mp4 {predict} overlay", 2000),
        "sheet": (f"predict {{bad}}/good.png {predict} sheet", 1000),
        "picture": ("evaluate --weights {bad}/good.onnx --root {bad}/camvid --confusion {out}/x.png", 1000),
        "train": ("train streets --data camvid --root {bad}/camvid --out {out}", 100),
    }[verb]
    with no_file_above(size):
        ran = cli(*(word.format(bad=bad, out=out) for word in arguments.split()))
    assert_one_line(ran.err)
    assert ran.code == 1
    assert str(out) in ran.err
    assert "cannot write" in ran.err
    assert files(out) == set()


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("torch", "train", "train streets --out {out}"),
        ("torch", "train", "export {out}/x.onnx --weights {bad}/good.safetensors"),
        ("torch", "train", "info"),
        ("torch", "train", "predict {bad}/good.png --out {out} --weights {bad}/x.safetensors"),
        ("openvino", "openvino", "predict {bad}/good.png --out {out} --weights {bad}/good.onnx --backend openvino"),
        ("lightning_fabric", "train", "train streets --out {out}"),
        ("matplotlib", "paper", "paper --quick --out {out}"),
    ],
)
def test_missing_extra(package: str, extra: str, arguments: str, bad: Path, tmp_path: Path) -> None:
    if package == "lightning_fabric" and not HAS_TORCH:
        pytest.skip("needs PyTorch")
    out = tmp_path / "out"
    script = f"import sys; sys.modules[{package!r}] = None; from bcpnet.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [word.format(bad=bad, out=out) for word in arguments.split()]
    ran = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert_one_line(ran.stderr)
    assert ran.returncode == 2
    assert package in ran.stderr
    assert f'pip install ".[{extra}]"' in ran.stderr
    assert not out.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("arguments", ["--help", "models --json", "predict {bad}/good.png --weights {bad}/good.onnx"])
def test_standard_output_on_a_full_disk(arguments: str, bad: Path, tmp_path: Path) -> None:
    words = [word.format(bad=bad) for word in arguments.split()]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ran = subprocess.run(
            [sys.executable, "-m", "bcpnet", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            cwd=tmp_path, env=buffered,
        )  # fmt: skip
    assert_one_line(ran.stderr)
    assert ran.returncode == 1
    assert "No space left on device" in ran.stderr


@pytest.mark.parametrize("error", [MemoryError("9 GB"), PermissionError(13, "Permission denied", "the folder")])
def test_what_the_system_refuses(
    error: Exception, bad: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(bcpnet.Segmenter, "__call__", refuse)
    ran = cli("predict", bad / "good.png", "--weights", bad / "good.onnx", "--out", tmp_path / "out")
    assert_one_line(ran.err)
    assert ran.code == 1
    assert str(error.args[-1]) in ran.err


def test_a_name_of_two_lines_is_one_line_of_complaint(bad: Path, cli: Cli, tmp_path: Path) -> None:
    ran = cli("predict", tmp_path / "two\nlines.png", "--weights", bad / "good.onnx")
    assert_one_line(ran.err)
    assert ran.code == 1


def test_links_in_a_circle_are_told_of_and_the_others_go_on(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "photos" / "good.png")
    (tmp_path / "photos" / "loop.png").symlink_to("loop.png")
    words = ("predict", tmp_path / "photos", "--weights", onnx_path, "--save", "classmap", "--out")
    ran = cli(*words, tmp_path / "out")
    assert ran.code == 1
    assert "loop.png: cannot read: Too many levels of symbolic links" in ran.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]
    ran = cli(*words, tmp_path / "photos" / "loop.png")
    assert ran.code == 1
    assert "Traceback" not in ran.err
