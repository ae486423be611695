"""MobileNetV2 (Sandler et al. 2018), the paper's reference [16], at width 0.5 or 1.0, without its last 1x1 layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from bcpnet.errors import InputError
from bcpnet.networks.layers import conv_bn
from bcpnet.storage.damaged import damage, reason

# expansion, channels at width 1.0, repeats, stride of the first
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),  # tap: stride 4
    (6, 32, 3, 2),  # tap: stride 8
    (6, 64, 4, 2),
    (6, 96, 3, 1),  # tap: stride 16
    (6, 160, 3, 2),
    (6, 320, 1, 1),  # tap: stride 32
)
_TAPS = (2, 5, 12, 16)
# Ours, of width 0.5: block -> channels between expansion and projection, where they cost the most time: at strides 2
# and 4, whose large maps are slow in runtimes that do not fuse blocks, and at stride 16. Published are 48, 72, 72, 96,
# 96, 192, 192, 192, 288, 288.
LEAN = {1: 16, 2: 32, 3: 32, 4: 64, 5: 64, 7: 128, 8: 128, 9: 128, 11: 192, 12: 192}


def _relu6() -> nn.Module:
    """In place: what stands before it is a batch norm, whose output nobody else reads."""
    return nn.ReLU6(inplace=True)


class InvertedResidual(nn.Module):
    """Expand (unless that would not widen), depthwise 3x3, linear projection; a shortcut where shapes agree."""

    def __init__(self, inp: int, mid: int, out: int, stride: int) -> None:
        """Channels in, between and out; stride of the depthwise convolution."""
        super().__init__()
        self.expand = conv_bn(inp, mid, act=_relu6) if mid != inp else nn.Identity()
        self.depthwise = conv_bn(mid, mid, 3, stride, groups=mid, act=_relu6)
        self.project = conv_bn(mid, out)
        self.shortcut = stride == 1 and inp == out

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out ceil(H/stride) ceil(W/stride)."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """Image -> features at strides 4, 8, 16 and 32."""

    channels: tuple[int, int, int, int]
    lifted = None  # two linear layers in a row would add nothing

    def __init__(self, width: float, narrow: Mapping[int, int] | None = None) -> None:
        """Builds the encoder.

        Args:
            width: multiplies every channel count (0.5 or 1.0: those with pre-trained weights).
            narrow: block -> channels between its expansion and its projection, where they are not the published.
        """
        super().__init__()
        self.width = width
        channels = [int(base * width) for _, base, repeats, _ in _STAGES for _ in range(repeats)]
        stem = int(32 * width)
        self.stem = conv_bn(3, stem, 3, stride=2, act=_relu6)
        blocks: list[nn.Module] = []
        inp = stem
        for expansion, base, repeats, stride in _STAGES:
            for repeat in range(repeats):
                out = int(base * width)
                mid = (narrow or {}).get(len(blocks), inp * expansion)
                blocks.append(InvertedResidual(inp, mid, out, stride if repeat == 0 else 1))
                inp = out
        self.blocks = nn.ModuleList(blocks)
        self.channels = (channels[_TAPS[0]], channels[_TAPS[1]], channels[_TAPS[2]], channels[_TAPS[3]])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """N 3 H W -> features at strides 4, 8, 16 and 32 (sizes rounded up), `channels` wide."""
        taps = []
        x = self.stem(x)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAPS:
                taps.append(x)
        return taps[0], taps[1], taps[2], taps[3]


def load_pretrained(encoder: MobileNetV2, path: Path, images: Tensor) -> None:
    """Loads weights whose batch norm was folded away, and puts batch norm back without changing the function.

    Each batch norm gets the statistics of its own input on `images`, and the scale and shift that undo them:
    gamma = sqrt(var + eps), beta = bias + mean. In evaluation mode every layer then computes exactly conv + bias.
    An encoder with narrower blocks gets the strongest channels of those (`narrowed`).

    Args:
        encoder: changed in place.
        path: safetensors file with `stem.*` and `blocks.N.{expand,depthwise,project}.{weight,bias}`.
        images: N 3 H W network input (normalised) of the training domain; some dozen are plenty.

    Raises:
        InputError: missing or broken file, or tensors of another network or width.
    """
    published = MobileNetV2(encoder.width)
    _load_published(published, path, images)
    tensors = narrowed(published.state_dict(), encoder.state_dict())
    encoder.load_state_dict(tensors)


def narrowed(tensors: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Trained tensors for blocks that are narrower than theirs: of each block the channels that weigh most.

    A channel weighs what its batch norm after the depthwise convolution scales it by, times the norm of its column
    in the projection (after Liu et al. 2017, who prune by the scale alone).

    Args:
        tensors: state of a trained network that contains a MobileNetV2.
        own: state of the network to be initialised.

    Returns:
        `tensors`, with blocks as narrow as those of `own`.
    """
    result = dict(tensors)
    for name, scale in tensors.items():
        block, found, _ = name.partition(".depthwise.1.weight")
        if not found or name not in own or len(own[name]) >= len(scale):
            continue
        columns = tensors[f"{block}.project.0.weight"].flatten(1)
        chosen = (scale.abs() * columns.norm(dim=0)).topk(len(own[name])).indices.sort().values
        for part, tensor in tensors.items():
            if part.startswith((f"{block}.expand.", f"{block}.depthwise.")) and tensor.ndim > 0:
                result[part] = tensor[chosen]
        result[f"{block}.project.0.weight"] = tensors[f"{block}.project.0.weight"][:, chosen]
    return result


def _load_published(encoder: MobileNetV2, path: Path, images: Tensor) -> None:
    """As `load_pretrained`, for blocks as published."""
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except damage("safetensors") as error:
        raise InputError(f"{path}: cannot read pre-trained weights: {reason(error)}") from error
    layers = {name: layer for name, layer in encoder.named_modules() if isinstance(layer, nn.Sequential)}
    expected = {f"{name}.{kind}" for name in layers for kind in ("weight", "bias")}
    if set(tensors) != expected:
        example = sorted(set(tensors) ^ expected)[0]
        raise InputError(f"{path}: not weights of this encoder (tensor {example} is extra or missing)")

    handles = []
    for name, layer in layers.items():
        conv, norm = layer[0], layer[1]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        for kind, tensor, own in (("weight", weight, conv.weight), ("bias", bias, norm.bias)):
            if tensor.shape != own.shape:
                raise InputError(
                    f"{path}: {name}.{kind} is {tuple(tensor.shape)}, this encoder has {tuple(own.shape)}"
                    " (weights of another width?)"
                )
        conv.weight.data.copy_(weight)
        handles.append(norm.register_forward_pre_hook(_calibrator(bias)))
    training = encoder.training
    encoder.eval()
    with torch.no_grad():
        encoder(images)
    encoder.train(training)
    for handle in handles:
        handle.remove()


def _calibrator(bias: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    """A forward pre-hook that sets a batch norm from the very input it is about to normalise."""

    def calibrate(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        var, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        norm.weight.data.copy_((var + norm.eps).sqrt())
        norm.bias.data.copy_(bias + mean)

    return calibrate
