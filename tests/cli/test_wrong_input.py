"""Wrong input, row by row: one line on standard error, the right exit code, nothing half-written.

Exit codes: 2 for a wrong call, 1 for input that cannot be used.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from bad_things import HAS_TORCH
from command_line import Cli, assert_one_line, files


class Row(NamedTuple):
    """One wrong call. In `arguments` and `says`, {bad} is the folder of bad things and {out} a folder to write to.

    Attributes:
        what: is wrong.
        arguments: of bcpnet.
        code: the exit code.
        says: words that the line must hold.
    """

    what: str
    arguments: str
    code: int
    says: tuple[str, ...]


PREDICT = "predict {bad}/good.png --out {out} --weights"
EVALUATE = "evaluate --weights {bad}/good.onnx"
TRAIN = "train streets --data camvid --out {out} --crop-h 32 --crop-w 32 --short-side 32 --epochs 1 --batch 2"


def source(name: str, *says: str) -> Row:
    """`predict` of something that cannot be read."""
    arguments = f"predict {{bad}}/{name} --weights {{bad}}/good.onnx --out {{out}} --save overlay classmap sheet"
    return Row(name, arguments, 1, (f"{{bad}}/{name}: ", *says))


def call(arguments: str, *says: str) -> Row:
    """A wrong call of `predict`, whatever its sources."""
    return Row(arguments, f"{PREDICT} {{bad}}/good.onnx {arguments}", 2, says)


def weights(name: str, *says: str, code: int = 1) -> Row:
    """`predict` with weights that cannot be used."""
    return Row(f"weights {name}", f"{PREDICT} {{bad}}/{name}", code, (f"{{bad}}/{name}: ", *says))


def labels(name: str, *says: str) -> Row:
    """`evaluate` on a CamVid with something wrong in it."""
    return Row(name, f"{EVALUATE} --root {{bad}}/{name}", 1, (f"{{bad}}/{name}", *says))


ROWS = [
    # The call
    Row("unknown command", "segment x.png", 2, ("unknown command 'segment'", "predict", "evaluate")),
    Row("no sources", "predict --weights {bad}/good.onnx", 2, ("nothing to segment",)),
    call("--colour", "--colour", "predict --help"),
    call("--threads", "--threads"),
    call("--threads two", "--threads", "two"),
    call("--threads 0", "0 threads"),
    call("--opacity 1.5", "opacity 1.5"),
    call("--opacity nan", "opacity nan"),
    call("--save picture", "picture", "overlay"),
    call("--palette camvid", "camvid", "clear", "dataset"),
    call("--legend maybe", "maybe", "on", "off"),
    call("--every 2", "--every", "for videos"),
    call("--every 0", "every 0", "1 (every frame)"),
    call("--every half", "--every", "half"),
    call("--start 0.5", "--start", "for videos"),
    *(call(f"--start {time}", f"--start '{time}'", "0:01:30") for time in ("now", "-1", "nan", "1:2:3:4", "1,5")),
    call("--end inf", "--end 'inf'", "0:01:30"),
    call("--end 0", "end 0 s", "after the start"),
    call("--start 1:00 --end 59", "end 59 s", "after the start, 60 s"),
    Row(
        "a start after the end", "predict {bad}/good.mp4 --weights {bad}/good.onnx --out {out} --start 9", 1,
        ("{bad}/good.mp4: no frame from 9 s on",),
    ),
    call("--format voc", "voc", "cityscapes"),
    call("--format cityscapes", "11 classes (camvid)", "cityscapes has 19"),
    call("--backend tensorrt", "unknown backend 'tensorrt'", "onnxruntime"),
    call("--backend pytorch", "reads .safetensors"),
    *(call(f"--size {size}", f"size '{size}'", "360x640") for size in ("640", "axb", "16x64", "99999x64", "-64x64")),
    Row("unknown weights", f"{PREDICT} mine", 2, ("unknown weights 'mine'", "bcpnet ships")),
    # Images and videos
    source("missing.png", "No such file"),
    source("empty.png", "empty"),
    source("truncated.png", "truncated"),
    source("truncated.jpg", "truncated"),
    source("text.png", "not an image"),
    source("bomb.png", "too large", "megapixels"),
    source("float.tif", "floating-point"),
    source("folder", "no images"),
    source("*.gif", "matches no image"),
    source("missing.mp4", "No such file"),
    source("empty.mp4", "empty file"),
    source("text.mp4", "cannot be read as a video"),
    source("no_frames.mp4", "without frames"),
    Row(
        "a name that is none of Cityscapes",
        "predict {bad}/good.png --weights {bad}/cityscapes.onnx --format cityscapes --out {out}",
        1,
        ("good: not a Cityscapes frame",),
    ),
    # Weights
    weights("missing.onnx", "no such file"),
    weights("folder.onnx", "not a file"),
    weights("empty.onnx", "not an ONNX file"),
    weights("text.onnx", "not an ONNX file"),
    weights("truncated.onnx", "not an ONNX file"),
    weights("pickle.onnx", "not an ONNX file"),
    weights("foreign.onnx", "without bcpnet's metadata"),
    weights("classes.onnx", "11 classes", "19"),
    weights("pickle.pth", "never loaded", ".safetensors"),
    weights("missing.safetensors", "no such file"),
    weights("empty.safetensors", "not a safetensors file"),
    weights("text.safetensors", "not a safetensors file"),
    weights("pickle.safetensors", "not a safetensors file"),
    weights("truncated.safetensors", "not a safetensors file"),
    weights("foreign.safetensors", "without bcpnet metadata"),
    weights("network.safetensors", "is not part of", "mobilenet_v2_050"),
    weights("classes.safetensors", "tensor head.", "[11", "[19"),
    Row("OpenVINO on a checkpoint", f"{PREDICT} {{bad}}/good.safetensors --backend openvino", 2, ("bcpnet export",)),
    # Output
    Row(
        "out is a file", "predict {bad}/good.png --weights {bad}/good.onnx --out {bad}/good.png", 1,
        ("{bad}/good.png", "cannot write"),
    ),
    Row(
        "out lies below a file", "predict {bad}/good.mp4 --weights {bad}/good.onnx --out {bad}/good.png/x", 1,
        ("{bad}/good.png/x", "cannot write"),
    ),
    # Evaluation
    Row("unknown dataset", f"{EVALUATE} --data nonsense", 2, ("unknown dataset 'nonsense'", "camvid")),
    Row("unknown dataset to check", "data check --data nonsense --root {bad}", 2, ("unknown dataset 'nonsense'",)),
    Row("no root", EVALUATE, 2, ("camvid needs --root",)),
    Row("missing root", f"{EVALUATE} --root {{bad}}/none", 1, ("{bad}/none: no such folder",)),
    Row("no CamVid", f"{EVALUATE} --root {{bad}}/folder", 1, ("{bad}/folder: no CamVid here",)),
    Row("unknown split", f"{EVALUATE} --root {{bad}}/camvid --split all", 2, ("no split 'all'", "val")),
    Row("unknown split of streets", f"{EVALUATE} --data streets --split all", 2, ("no split 'all'",)),
    Row("bad size", f"{EVALUATE} --root {{bad}}/camvid --size 64", 2, ("size '64'",)),
    Row("a picture that is no PNG", f"{EVALUATE} --root {{bad}}/camvid --confusion x.txt", 2, ("x.txt", ".png")),
    Row(
        "weights for other classes", "evaluate --weights {bad}/cityscapes.onnx --root {bad}/camvid", 2,
        ("19 classes (cityscapes)", "camvid has 11"),
    ),
    labels("labels_of_another_size", "0016E5_08159.png", "48x35", "48x36"),
    labels("rgb_labels", "0016E5_08159.png", "label is RGB"),
    labels("ids_out_of_range", "0016E5_08159.png", "label id 77 is out of range"),
    labels("missing_label", "0016E5_08159.png", "no such label file"),
    labels("broken_label", "0016E5_08159.png", "truncated"),
    labels("broken_image", "0016E5_08159.png", "not an image"),
    labels("labels_held_back --split test", "has no label")._replace(says=("has no label",)),
    Row("missing YAML", f"{EVALUATE} --data folder --root {{bad}}/none.yaml", 1, ("{bad}/none.yaml", "No such file")),
    Row("YAML is a folder", f"{EVALUATE} --data folder --root {{bad}}/folder", 1, ("{bad}/folder", "directory")),
    Row("bad YAML", f"{EVALUATE} --data folder --root {{bad}}/bad.yaml", 1, ("{bad}/bad.yaml: line 1",)),
    Row("YAML of other things", f"{EVALUATE} --data folder --root {{bad}}/other.yaml", 1, ("unknown key 'colour'",)),
    # Training
    Row("no recipe", "train", 2, ("name the recipe first", "streets")),
    Row("option before the recipe", "train --out {out} streets", 2, ("name the recipe first",)),
    Row("unknown recipe", "train fast --out {out}", 2, ("unknown recipe 'fast'", "camvid-paper")),
    Row("no folder for the run", "train streets", 2, ("--out", "train streets --help")),
    Row("unknown field", "train streets --out {out} --crop 64", 2, ("--crop",)),
    Row("not a number", "train streets --out {out} --epochs ten", 2, ("--epochs", "ten")),
    Row("unknown choice", "train streets --out {out} --optimizer lion", 2, ("lion", "adamw")),
    Row("batch without equal parts", "train camvid-paper --out {out} --batch 13", 2, ("batch 13", "micro-batch 8")),
    Row("crop too small", "train streets --out {out} --crop-h 16", 2, ("16x240", "32x32")),
    Row("no root", "train camvid --out {out} --pretrained none", 2, ("camvid needs --root",)),
    Row("pre-trained weights not named", "train camvid --out {out} --root {bad}/camvid", 2, ("--pretrained",)),
    Row("unknown dataset", "train streets --data nonsense --out {out}", 2, ("unknown dataset 'nonsense'", "camvid")),
    Row("unknown split", f"{TRAIN} --root {{bad}}/camvid --train-split all", 2, ("no split 'all'",)),
    Row("unknown network", f"{TRAIN} --root {{bad}}/camvid --network unet", 2, ("unknown network 'unet'", "bcpnet")),
    Row("unknown accelerator", f"{TRAIN} --root {{bad}}/camvid --accelerator abacus", 2, ("abacus",)),
    Row("no root, by the former --dataset", "train streets --dataset camvid --out {out}", 2, ("needs --root",)),
    Row("nothing to resume", "train --resume {out}", 2, ("{out}: no run to resume",)),
    Row("nothing to resume of a recipe", f"{TRAIN} --root {{bad}}/camvid --resume", 2, ("{out}: no run to resume",)),
    Row("a run that is none", "train --resume {bad}/folder", 2, ("{bad}/folder: no run to resume",)),
    Row("resume without a run", "train --resume", 2, ("bcpnet train --resume RUN",)),
    Row("resume without a run, with an option", "train --resume --devices 2", 2, ("bcpnet train --resume RUN",)),
    Row("a recipe and a run", "train streets --resume {out}", 2, ("leave out 'streets'", "train --resume {out}")),
    Row(
        "a label out of range", f"{TRAIN} --root {{bad}}/ids_out_of_range --train-split val --val-split none", 1,
        ("label id 77",),
    ),
    Row(
        "missing pre-trained weights", f"{TRAIN} --root {{bad}}/camvid --pretrained {{bad}}/missing.safetensors", 1,
        ("pre-trained",),
    ),
    Row(
        "a run below a file", f"{TRAIN} --root {{bad}}/camvid".replace("{out}", "{bad}/good.png/run"), 1,
        ("{bad}/good.png/run", "cannot write"),
    ),
    # The other verbs
    Row("unknown network", "info unet", 2, ("unknown network 'unet'", "bcpnet")),
    Row("unknown encoder", "info --encoder vgg", 2, ("unknown encoder 'vgg'", "mobilenet_v2_050")),
    Row("no classes", "info --classes 0", 2, ("0 classes",)),
    Row("bad size", "info --sizes 360x640 big", 2, ("size 'big'",)),
    Row("export to another format", "export {out}/x.tflite --weights {bad}/good.safetensors", 2, ("end in .onnx",)),
    Row("export of an export", "export {out}/x.onnx --weights {bad}/good.onnx", 2, ("ONNX already",)),
    Row("export of unknown weights", "export {out}/x.onnx --weights mine", 2, ("unknown weights 'mine'",)),
    Row(
        "export of a pickle", "export {out}/x.onnx --weights {bad}/pickle.pth", 1,
        ("{bad}/pickle.pth", "never loaded"),
    ),
    Row("export of no weights", "export {out}/x.onnx --weights {bad}/good.png", 2, ("unknown weights", "good.png")),
    Row("unknown option", "models --all", 2, ("--all",)),
    Row("unknown dataset", "data nonsense --root {out}", 2, ("nonsense", "camvid")),
    Row("no root", "data camvid", 2, ("--root",)),
    Row("address of another kind", "data camvid --root {out} --base-url ftp://x", 2, ("ftp://x", "http")),
    Row("a root of other things", "data camvid --root {bad}/camvid", 1, ("{bad}/camvid", "new folder")),
    Row("unknown backend", "benchmark --weights {bad}/good.onnx --backends tensorrt", 2, ("tensorrt",)),
    Row("no frames", "benchmark --weights {bad}/good.onnx --sizes 32x32 --frames 0", 2, ("--frames 0", "at least 1")),
    Row("save without a video", "benchmark --weights {bad}/good.onnx --save classmap", 2, ("--video",)),
    Row("no weights", "benchmark --weights --sizes 32x32", 2, ("no --weights",)),
    Row("networks with a video", "benchmark --video {bad}/good.mp4 --networks bcpnet", 2, ("not with --video",)),
    Row("classes with a video", "benchmark --video {bad}/good.mp4 --classes 19", 2, ("not with --video",)),
    Row("frames of a video", "benchmark --video {bad}/good.mp4 --frames 5", 2, ("not with --video",)),
    Row("weights for networks", "benchmark --networks bcpnet --weights {bad}/good.onnx", 2, ("not with --weights",)),
    Row("too many classes", "benchmark --sizes 32x32 --networks bcpnet --classes 256", 2, ("256 classes",)),
    Row("widened to none", "benchmark --sizes 32x32 --weights {bad}/good.safetensors --classes 0", 2, ("0 classes",)),
]  # fmt: skip


def needs_torch(row: Row) -> bool:
    return any(word in row.arguments for word in (".safetensors", "pickle.pth", "train streets --data", "info"))


@pytest.mark.usefixtures("no_news")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.arguments.split()[0]}: {row.what}")
def test_wrong_input(row: Row, bad: Path, cli: Cli, tmp_path: Path) -> None:
    if needs_torch(row) and not HAS_TORCH:
        pytest.skip("needs PyTorch")
    out = tmp_path / "out"
    before = files(bad)
    ran = cli(*(word.format(bad=bad, out=out) for word in row.arguments.split()))
    assert_one_line(ran.err)
    assert "<class" not in ran.err  # Python shall not show through
    assert ran.code == row.code, ran.err
    for words in row.says:
        assert words.format(bad=bad, out=out) in ran.err
    assert files(out) <= {"recipe.json"}  # of a run whose data turned out to be bad; it may start anew there
    assert files(bad) == before
