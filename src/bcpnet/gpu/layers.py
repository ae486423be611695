"""Layers packed for the kernels, and their launches: feature maps N x H x W x C in, the same out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor, nn

from bcpnet.frames.preprocess import MEAN, SCALE
from bcpnet.gpu.kernels import gate_kernel, pointwise_kernel, scale_kernel, separable_kernel, stem_kernel

_ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Hardswish: "hardswish"}
_PROGRAMS = 256  # in a launch, about: that all multiprocessors of a large GPU have work


def block_of(channels: int, most: int = 64) -> int:
    """Channels that a program works on at a time: a power of two, at least the 16 of a matrix unit."""
    return min(most, max(16, 1 << (channels - 1).bit_length()))


def padded(channels: int, most: int = 64) -> int:
    """`channels` rounded up to whole blocks."""
    block = block_of(channels, most)
    return (channels + block - 1) // block * block


def pixels_of(pixels: int, most: int) -> int:
    """Pixels that a program works on: `most`, or 16 where that left multiprocessors idle."""
    return most if pixels >= _PROGRAMS * most else 16


@dataclass(frozen=True)
class Conv:
    """A convolution as a zero-padded matrix.

    Attributes:
        weight: (taps x inputs) x outputs; of a depthwise convolution taps x channels.
        bias: float32, padded as the outputs.
        inputs, outputs: channels without the padding.
        kernel, stride: of its window, in pixels.
        act: the activation after it, "" for none.
        block_out: outputs that a program works on.
    """

    weight: Tensor
    bias: Tensor
    inputs: int
    outputs: int
    kernel: int
    stride: int
    act: str
    block_out: int


def pack(layers: nn.Module, dtype: torch.dtype, device: torch.device, most: int = 64) -> Conv:
    """Packs a folded convolution, alone or with its activation. Depthwise weights are few and stay float32.

    Args:
        layers: `nn.Conv2d`, or `nn.Sequential` of that and an activation.
        dtype: of the weight.
        device: where it is to lie.
        most: outputs in a block.

    Raises:
        ValueError: other layers.
    """
    conv, *acts = layers if isinstance(layers, nn.Sequential) else (layers,)
    if not isinstance(conv, nn.Conv2d) or len(acts) > 1 or any(type(act) not in _ACTIVATIONS for act in acts):
        raise ValueError(f"no kernel for {layers}")
    depthwise = conv.groups > 1
    matrix = conv.weight.flatten(2).permute(2, 1, 0).flatten(0, 1)
    rows = len(matrix) if depthwise else padded(len(matrix))
    columns = padded(conv.out_channels, most)
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
    return Conv(
        weight=_framed(matrix, rows, columns).to(device, torch.float32 if depthwise else dtype),
        bias=_framed(bias[None], 1, columns)[0].to(device),
        inputs=conv.in_channels,
        outputs=conv.out_channels,
        kernel=conv.kernel_size[0],
        stride=conv.stride[0],
        act=_ACTIVATIONS[type(acts[0])] if acts else "",
        block_out=block_of(conv.out_channels, most),
    )


@dataclass(frozen=True)
class Gate:
    """Squeeze-excite's two layers, float32 and padded: squeezed x channels, then channels x squeezed."""

    squeeze: Tensor
    squeeze_bias: Tensor
    excite: Tensor
    excite_bias: Tensor


def pack_gate(gate: nn.Module, device: torch.device) -> Gate:
    """Packs the folded `gate` of `bcpnet.networks.layers.SqueezeExcite`. Raises ValueError for over 128 channels."""
    assert isinstance(gate, nn.Sequential)
    first, _, second, _ = gate
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    assert first.bias is not None
    assert second.bias is not None
    if second.out_channels > 128:
        raise ValueError(f"no kernel for squeeze-excite of {second.out_channels} channels")
    s, c = padded(first.out_channels, 128), padded(second.out_channels, 128)
    return Gate(
        _framed(first.weight[:, :, 0, 0], s, c).to(device), _framed(first.bias[None], 1, s)[0].to(device),
        _framed(second.weight[:, :, 0, 0], c, s).to(device), _framed(second.bias[None], 1, c)[0].to(device),
    )  # fmt: skip


def stem(frames: Tensor, conv: Conv) -> Tensor:
    """N H W 3 uint8 -> normalised, 3x3 convolution of stride 2, activation."""
    count, height, width, _ = frames.shape
    out = _empty(conv, count, (height + 1) // 2, (width + 1) // 2)
    pixels = out.shape[1] * out.shape[2]
    block = pixels_of(count * pixels, 128)
    stem_kernel[(triton.cdiv(pixels, block), count)](
        frames, conv.weight, conv.bias, out, height, width, out.shape[1], out.shape[2],
        MEAN=MEAN, SCALE=SCALE, OUT=conv.outputs, OUT_PADDED=len(conv.bias), ACT=conv.act, BLOCK=block,
    )  # fmt: skip
    return out


def pointwise(x: Tensor, conv: Conv) -> Tensor:
    """1x1 convolution and activation."""
    out = _empty(conv, *x.shape[:3])
    pixels = x.shape[0] * x.shape[1] * x.shape[2]
    blocks_out = len(conv.bias) // conv.block_out
    block = pixels_of(pixels * blocks_out, 128)
    pointwise_kernel[(triton.cdiv(pixels, block), blocks_out)](
        x, conv.weight, conv.bias, out, pixels,
        C=conv.inputs, C_PADDED=len(conv.weight), OUT=conv.outputs, OUT_PADDED=len(conv.bias), ACT=conv.act,
        BLOCK=block, BLOCK_C=block_of(conv.inputs), BLOCK_OUT=conv.block_out,
    )  # fmt: skip
    return out


def separable(
    x: Tensor, depthwise: Conv, project: Conv, shortcut: Tensor | None = None, gate: Gate | None = None
) -> Tensor:
    """Depthwise convolution, activation, 1x1 convolution, squeeze-excite if there is a `gate`; plus `shortcut`."""
    count, height, width, _ = x.shape
    stride = depthwise.stride
    out = _empty(project, count, (height + stride - 1) // stride, (width + stride - 1) // stride)
    pixels = out.shape[1] * out.shape[2]
    block_c = block_of(project.inputs)
    block = pixels_of(count * pixels, 2048 // block_c)
    programs = triton.cdiv(pixels, block)
    width_out = len(project.bias)
    sums = out if gate is None else torch.empty((count, programs, width_out), dtype=torch.float32, device=x.device)
    inner = shortcut if gate is None else None
    separable_kernel[(programs, count, width_out // project.block_out)](
        x, depthwise.weight, depthwise.bias, project.weight, project.bias, out if inner is None else inner, out, sums,
        height, width, out.shape[1], out.shape[2],
        C=project.inputs, C_PADDED=len(depthwise.bias), OUT=project.outputs, OUT_PADDED=width_out,
        KERNEL=depthwise.kernel, STRIDE=stride, ACT=depthwise.act, SHORTCUT=inner is not None, SUMS=gate is not None,
        BLOCK=block, BLOCK_C=block_c, BLOCK_OUT=project.block_out, num_stages=1,
    )  # fmt: skip
    return out if gate is None else _gated(out, sums, gate, shortcut)


def _gated(x: Tensor, sums: Tensor, gate: Gate, shortcut: Tensor | None) -> Tensor:
    count, height, width, channels = x.shape
    factors = torch.empty((count, sums.shape[2]), dtype=torch.float32, device=x.device)
    gate_kernel[(count,)](
        sums, gate.squeeze, gate.squeeze_bias, gate.excite, gate.excite_bias, factors, sums.shape[1], height * width,
        C_PADDED=sums.shape[2], SQUEEZED_PADDED=len(gate.squeeze_bias), BLOCK=32,
    )  # fmt: skip
    values = height * width * channels
    out = torch.empty_like(x)
    scale_kernel[(triton.cdiv(values, 1024), count)](
        x, factors, x if shortcut is None else shortcut, out, values,
        C=channels, C_PADDED=sums.shape[2], SHORTCUT=shortcut is not None, BLOCK=1024,
    )  # fmt: skip
    return out


def _empty(conv: Conv, count: int, height: int, width: int) -> Tensor:
    """Room for what `conv` gives."""
    return torch.empty((count, height, width, conv.outputs), dtype=conv.weight.dtype, device=conv.weight.device)


def _framed(values: Tensor, rows: int, columns: int) -> Tensor:
    """`values` in the upper left of zeros."""
    frame = torch.zeros(rows, columns)
    frame[: values.shape[0], : values.shape[1]] = values.detach()
    return frame
