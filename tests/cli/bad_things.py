"""Files that are not what they should be, and pictures out of the ordinary."""

from __future__ import annotations

import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from fake_data import make_camvid, make_folder, save
from media_files import noise, write_clip
from one_convolution import METADATA, write_onnx
from PIL import Image

from bcpnet.labels import CITYSCAPES
from bcpnet.metadata import KEY, Metadata

HAS_TORCH = find_spec("torch") is not None


def make_bad_things(folder: Path, onnx_path: Path) -> None:
    """Fills a folder with bad things, and a few good ones to be badly used; `onnx_path` are good weights."""
    (folder / "folder").mkdir()
    (folder / "folder.onnx").mkdir()
    make_media(folder)
    make_weights(folder, onnx_path)
    make_labels(folder)
    (folder / "bad.yaml").write_text("{name: x")
    yaml, _ = make_folder(folder / "other")
    (folder / "other.yaml").write_text(f"colour: blue\n{yaml.read_text()}")


def make_media(folder: Path) -> None:
    for name in ("good.png", "truncated.png", "truncated.jpg"):
        path = save(noise(60, 80), folder / name)
        if name != "good.png":
            path.write_bytes(path.read_bytes()[:2000])
    Image.fromarray(np.zeros((40, 40), np.float32)).save(folder / "float.tif")
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    (folder / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    )
    clip = write_clip(folder / "good.mp4").read_bytes()
    (folder / "no_frames.mp4").write_bytes(clip[: clip.index(b"mdat") + 4])
    for suffix in ("png", "mp4", "onnx", "safetensors"):
        (folder / f"empty.{suffix}").touch()
        (folder / f"text.{suffix}").write_text("words, words, words\n" * 100)


def make_weights(folder: Path, onnx_path: Path) -> None:
    shutil.copy(onnx_path, folder / "good.onnx")
    (folder / "truncated.onnx").write_bytes(onnx_path.read_bytes()[:5000])
    write_onnx(folder / "foreign.onnx", {})
    of_cityscapes = replace(METADATA, classes=CITYSCAPES)
    write_onnx(folder / "classes.onnx", {KEY: of_cityscapes.to_json()})
    write_onnx(folder / "cityscapes.onnx", {KEY: of_cityscapes.to_json()}, CITYSCAPES)
    for name in ("pickle.onnx", "pickle.pth", "pickle.safetensors"):
        (folder / name).write_bytes(pickle.dumps({"weights": list(range(1000))}))
    if not HAS_TORCH:
        return
    import safetensors.torch
    from random_networks import random_network

    tensors = {name: tensor.contiguous() for name, tensor in random_network("bcpnet", 11).state_dict().items()}

    def write(name: str, metadata: Metadata | None) -> None:
        entries = None if metadata is None else {KEY: metadata.to_json()}
        safetensors.torch.save_file(tensors, folder / name, entries)

    write("good.safetensors", replace(METADATA, options={}))
    write("foreign.safetensors", None)
    write("network.safetensors", replace(METADATA, options={"encoder": "mobilenet_v2_050"}))
    write("classes.safetensors", replace(of_cityscapes, options={}))
    good = (folder / "good.safetensors").read_bytes()
    (folder / "truncated.safetensors").write_bytes(good[: len(good) // 2])


def make_labels(folder: Path) -> None:
    """Copies of a small CamVid, each with one thing wrong in the second sample of val."""
    make_camvid(folder / "camvid", "folders")

    def spoil(name: str, change: Callable[[Path, Path], object]) -> None:
        root = shutil.copytree(folder / "camvid", folder / name)
        change(root / "val" / "images" / "0016E5_08159.png", root / "val" / "labels" / "0016E5_08159.png")

    spoil("labels_of_another_size", lambda _, label: save(np.zeros((35, 48), np.uint8), label))
    spoil("rgb_labels", lambda _, label: save(noise(36, 48), label))
    spoil("ids_out_of_range", lambda _, label: save(np.full((36, 48), 77, np.uint8), label))
    spoil("missing_label", lambda _, label: label.unlink())
    spoil("broken_label", lambda _, label: label.write_bytes(label.read_bytes()[:60]))
    spoil("broken_image", lambda image, _: image.write_text("not an image"))
    spoil("labels_held_back", lambda _, label: shutil.rmtree(label.parents[2] / "test" / "labels"))


def odd_images(folder: Path) -> list[str]:
    """Pictures out of the ordinary, 30 pixels high and 40 wide but for the smallest."""
    grey = noise(30, 40)[:, :, 0]
    pixels = noise(30, 40)
    alpha = Image.fromarray(np.dstack([pixels, grey]))
    turned = Image.Exif()
    turned[0x0112] = 6  # shown turned by a quarter: stored 40 high, 30 wide
    pictures: dict[str, tuple[Image.Image, dict[str, object]]] = {
        "one_pixel.png": (Image.fromarray(pixels[:1, :1]), {}),
        "one_row.png": (Image.fromarray(pixels[:1]), {}),
        "sixteen_bits.png": (Image.fromarray(grey.astype(np.uint16) * 257), {}),
        "grey.png": (Image.fromarray(grey), {}),
        "bilevel.png": (Image.fromarray(grey > 127), {}),
        "rgba.png": (alpha, {}),
        "palette.png": (Image.fromarray(pixels).quantize(16), {}),
        "transparent_palette.png": (Image.fromarray(pixels).quantize(16), {"transparency": bytes(range(16))}),
        "cmyk.jpg": (Image.fromarray(pixels).convert("CMYK"), {}),
        "exif.jpg": (Image.fromarray(noise(40, 30)), {"exif": turned}),
    }
    for name, (picture, how) in pictures.items():
        picture.save(folder / name, **how)  # type: ignore[arg-type]
    return list(pictures)
