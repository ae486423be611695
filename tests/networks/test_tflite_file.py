"""Weights out of TensorFlow Lite files that the format's own builders wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from bcpnet.errors import InputError
from bcpnet.networks.encoders.mobilenet_v2 import MobileNetV2, load_pretrained

pytest.importorskip("tflite")

from tflite_files import Convolution, Quantised, random_convolutions, tflite_bytes

from bcpnet.networks.encoders.tflite_file import read_tflite


def _worth(tensor: Quantised) -> np.ndarray:
    return (np.float64(np.float32(tensor.scale)) * (tensor.values.astype(np.int64) - tensor.zero_point)).astype("f4")


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("width", [0.5, 1.0])
def test_every_layer_in_its_place(width: float, old: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    convolutions = random_convolutions(width)
    path.write_bytes(tflite_bytes(convolutions, old=old))
    tensors = read_tflite(path, width)
    names = ["stem", "blocks.0.depthwise", "blocks.0.project"]
    names += [f"blocks.{block}.{part}" for block in range(1, 17) for part in ("expand", "depthwise", "project")]
    assert sorted(tensors) == sorted(f"{name}.{kind}" for name in names for kind in ("weight", "bias"))
    for name, convolution in zip(names, convolutions[:-1], strict=True):  # the last is a head's
        for kind, tensor in (("weight", convolution.weight), ("bias", convolution.bias)):
            assert tensors[f"{name}.{kind}"].dtype == np.float32
            np.testing.assert_array_equal(tensors[f"{name}.{kind}"], _worth(tensor), f"{name}.{kind}")
    save_file(tensors, tmp_path / "encoder.safetensors")
    load_pretrained(MobileNetV2(width), tmp_path / "encoder.safetensors", torch.rand(2, 3, 64, 64))


def _quantised(values: np.ndarray, signed: bool) -> Quantised:
    """The integers behind dequantised values, the zero point guessed: any will do."""
    levels = np.unique(values.astype(np.float64))
    step = np.diff(levels).min() if len(levels) > 1 else 1.0
    count = round((levels[-1] - levels[0]) / step)
    scale = np.float32((levels[-1] - levels[0]) / max(count, 1)) or np.float32(1)
    integers = np.round(values / scale).astype(np.int64)
    zero_point = 0 if signed else -int(integers.min())
    return Quantised((integers + zero_point).astype(np.int32 if signed else np.uint8), float(scale), zero_point)


@pytest.mark.parametrize(("name", "width"), [("mobilenet_v2_050", 0.5), ("mobilenet_v2_100", 1.0)])
def test_the_published_weights_come_out_in_every_bit(
    name: str, width: float, pretrained_root: Path, tmp_path: Path
) -> None:
    """They were dequantised by somebody else; their integers, put back into a file, must give the same floats."""
    published = load_file(pretrained_root / f"{name}.safetensors")
    layers = {key: layer for key, layer in MobileNetV2(width).named_modules() if f"{key}.weight" in published}
    convolutions = [
        Convolution(
            _quantised(published[f"{key}.weight"], signed=False),
            _quantised(published[f"{key}.bias"], signed=True),
            layer[0].groups > 1,
        )
        for key, layer in layers.items()
    ]
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(convolutions))
    for key, tensor in read_tflite(path, width).items():
        if key.endswith(".weight"):
            np.testing.assert_array_equal(tensor, published[key], key)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("width", r"stem has weights \(32, 3, 3, 3\), MobileNetV2 of width 0.5 \(16, 3, 3, 3\)"),
        ("short", "20 convolutions, MobileNetV2 has 51"),
        ("floats", "not a TensorFlow Lite file with 8-bit weights"),
        ("no scale", r"8-bit weights \(a tensor has no scale of its own\)"),
        ("cut off", "not a TensorFlow Lite file with 8-bit weights"),
        ("page", r"8-bit weights \(it does not begin as one\)"),
        ("empty", "not a TensorFlow Lite file"),
        ("absent", "not a TensorFlow Lite file"),
    ],
)
def test_files_of_something_else(damage: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.tflite"
    convolutions = random_convolutions(1.0 if damage == "width" else 0.5)
    if damage == "no scale":
        convolutions[3] = convolutions[3]._replace(bias=convolutions[3].bias._replace(scale=float("nan")))
    if damage == "floats":
        import tflite

        monkeypatch.setattr(tflite.TensorType, "UINT8", tflite.TensorType.FLOAT32)
    data = tflite_bytes(convolutions[:20] if damage == "short" else convolutions)
    damaged = {"cut off": data[: len(data) // 2], "page": b"<html>log in here</html>", "empty": b""}
    if damage != "absent":
        path.write_bytes(damaged.get(damage, data))
    with pytest.raises(InputError, match=message) as raised:
        read_tflite(path, 0.5)
    assert "\n" not in str(raised.value)
