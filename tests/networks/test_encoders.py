"""Encoders: their taps, and pre-trained weights put back under batch norm without changing the function."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from random_networks import random_images
from safetensors.torch import load_file, save_file
from torch import Tensor

from bcpnet.errors import InputError
from bcpnet.networks.encoders import ENCODERS
from bcpnet.networks.encoders.mobilenet_v2 import LEAN, MobileNetV2, load_pretrained

# Stride of the stem and of blocks 0..16 (Sandler et al. 2018, table 2).
STRIDES = (2, *(1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1))


def _random_tensors(width: float, seed: int = 0) -> dict[str, Tensor]:
    """Weights and biases of the published layout, of a size that keeps features around one."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, module in MobileNetV2(width).named_modules():
        if isinstance(module, torch.nn.Conv2d):
            layer = name.rpartition(".")[0]
            fan_in = module.weight[0].numel()
            tensors[f"{layer}.weight"] = torch.randn(module.weight.shape, generator=generator) * (2 / fan_in) ** 0.5
            tensors[f"{layer}.bias"] = torch.randn(len(module.weight), generator=generator) * 0.3
    return tensors


def _plain(tensors: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """The network as published: convolutions with bias, no batch norm."""

    def conv(name: str, x: Tensor, stride: int = 1, groups: int = 1, act: bool = True) -> Tensor:
        weight = tensors[f"{name}.weight"]
        y = F.conv2d(x, weight, tensors[f"{name}.bias"], stride, weight.shape[2] // 2, groups=groups)
        return y.clamp(0, 6) if act else y

    taps = []
    x = conv("stem", x, STRIDES[0])
    for index, stride in enumerate(STRIDES[1:]):
        block = f"blocks.{index}"
        y = conv(f"{block}.expand", x) if f"{block}.expand.weight" in tensors else x
        y = conv(f"{block}.depthwise", y, stride, groups=y.shape[1])
        y = conv(f"{block}.project", y, act=False)
        x = x + y if stride == 1 and x.shape == y.shape else y
        if index in (2, 5, 12, 16):
            taps.append(x)
    return taps


def _assert_same_function(tensors: dict[str, Tensor], path: Path, encoder: MobileNetV2) -> None:
    encoder.train()
    load_pretrained(encoder, path, random_images(4, 3, 96, 128))
    assert encoder.training
    assert not any(module._forward_pre_hooks for module in encoder.modules())
    # Also on images that the calibration has not seen, of another size.
    for images in (random_images(4, 3, 96, 128), random_images(1, 3, 97, 131, seed=1)):
        with torch.inference_mode():
            for feature, expected in zip(encoder.eval()(images), _plain(tensors, images), strict=True):
                assert (feature - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", ENCODERS)
def test_taps(name: str) -> None:
    encoder = ENCODERS[name]().eval()
    with torch.inference_mode():
        features = encoder(random_images(2, 3, 97, 131))
    sizes_hw = ((25, 33), (13, 17), (7, 9), (4, 5))
    sizes = [(2, channels, *size) for channels, size in zip(encoder.channels, sizes_hw, strict=True)]
    assert [tuple(feature.shape) for feature in features] == sizes


@pytest.mark.parametrize(("name", "published"), [("mobilenet_v2_050", 469_200), ("mobilenet_v2_100", 1_795_936)])
def test_size_of_the_published_encoders(name: str, published: int) -> None:
    """Published without batch norm: a weight and a bias per convolution."""
    convs = [module for module in ENCODERS[name]().modules() if isinstance(module, torch.nn.Conv2d)]
    assert sum(conv.weight.numel() + conv.out_channels for conv in convs) == published


@pytest.mark.parametrize("width", [0.5, 1.0])
def test_loading_keeps_the_function(width: float, tmp_path: Path) -> None:
    tensors = _random_tensors(width)
    save_file(tensors, tmp_path / "encoder.safetensors")
    _assert_same_function(tensors, tmp_path / "encoder.safetensors", MobileNetV2(width))


def test_narrow_blocks_leave_out_what_weighs_least(tmp_path: Path) -> None:
    """Of channels that the projection does not read there are as many as a narrow encoder lacks: nothing is lost."""
    tensors = _random_tensors(0.5)
    generator = torch.Generator().manual_seed(1)
    for block, kept in LEAN.items():
        columns = tensors[f"blocks.{block}.project.weight"]
        columns[:, torch.randperm(columns.shape[1], generator=generator)[kept:]] = 0
    save_file(tensors, tmp_path / "encoder.safetensors")
    narrow = MobileNetV2(0.5, LEAN)
    _assert_same_function(tensors, tmp_path / "encoder.safetensors", narrow)
    assert all(narrow.blocks[block].depthwise[0].out_channels == kept for block, kept in LEAN.items())


@pytest.mark.parametrize(("name", "width"), [("mobilenet_v2_050", 0.5), ("mobilenet_v2_100", 1.0)])
def test_loading_the_published_weights_keeps_the_function(name: str, width: float, pretrained_root: Path) -> None:
    path = pretrained_root / f"{name}.safetensors"
    _assert_same_function(load_file(path), path, MobileNetV2(width))


def test_training_mode_starts_from_the_same_features(tmp_path: Path) -> None:
    """On the calibration images, batch statistics are the running ones."""
    save_file(_random_tensors(0.5), tmp_path / "encoder.safetensors")
    encoder = MobileNetV2(0.5)
    images = random_images(4, 3, 96, 128)
    load_pretrained(encoder, tmp_path / "encoder.safetensors", images)
    with torch.inference_mode():
        for trained, evaluated in zip(encoder.train()(images), encoder.eval()(images), strict=True):
            assert (trained - evaluated).abs().max() <= 1e-2 * evaluated.abs().max()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("width", r"stem.weight is \(32, 3, 3, 3\), this encoder has \(16, 3, 3, 3\) \(weights of another width\?\)"),
        ("bias", r"blocks.3.depthwise.bias is \(1,\), this encoder has"),
        ("missing", "tensor blocks.4.project.bias is extra or missing"),
        ("extra", "tensor head.weight is extra or missing"),
        ("pickle", "cannot read pre-trained weights"),
        ("text", "cannot read pre-trained weights"),
        ("absent", "cannot read pre-trained weights"),
        ("folder", "cannot read pre-trained weights"),
    ],
)
def test_files_of_something_else(damage: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    tensors = _random_tensors(1.0 if damage == "width" else 0.5)
    if damage == "bias":
        tensors["blocks.3.depthwise.bias"] = torch.zeros(1)
    elif damage == "missing":
        del tensors["blocks.4.project.bias"]
    elif damage == "extra":
        tensors["head.weight"] = torch.zeros(1)
    save_file(tensors, path)
    if damage == "pickle":
        torch.save(tensors, path)
    elif damage == "text":
        path.write_text("no weights\n" * 100)
    elif damage in ("absent", "folder"):
        path.unlink()
        if damage == "folder":
            path.mkdir()
    with pytest.raises(InputError, match=message) as raised:
        load_pretrained(MobileNetV2(0.5), path, random_images(1, 3, 32, 32))
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
