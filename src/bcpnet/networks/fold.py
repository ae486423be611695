"""Exact folding for inference: conv + batch norm, 1x1 conv into the conv after it, and weighted sums into numbers."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from bcpnet.networks.layers import WeightedSum

Network = TypeVar("Network", bound=nn.Module)


def fold(network: Network) -> Network:
    """A copy of `network` in evaluation mode that computes the same with fewer layers.

    Inside every `nn.Sequential`, neighbours are merged: conv + batch norm, and a 1x1 conv with the 1x1 conv after it.
    A module with a method `fold_` is first asked to put such layers side by side. The arithmetic is in float64;
    logits agree to float32 rounding.
    """
    folded = copy.deepcopy(network).eval()
    with torch.no_grad():
        _fold_children(folded)
    return folded.requires_grad_(False)


def _fold_children(module: nn.Module) -> None:
    prepare = getattr(module, "fold_", None)
    if prepare is not None:
        prepare()
    for name, child in list(module.named_children()):
        if isinstance(child, WeightedSum):
            setattr(module, name, child.folded())
            continue
        _fold_children(child)
        if isinstance(child, nn.Sequential):
            layers = _merge(list(child))
            setattr(module, name, layers[0] if len(layers) == 1 else nn.Sequential(*layers))


def _merge(layers: list[nn.Module]) -> list[nn.Module]:
    merged: list[nn.Module] = []
    for layer in layers:
        previous = merged[-1] if merged else None
        if isinstance(previous, nn.Conv2d) and isinstance(layer, nn.BatchNorm2d):
            merged[-1] = _conv_bn(previous, layer)
        elif isinstance(previous, nn.Conv2d) and isinstance(layer, nn.Conv2d) and _is_linear(previous, layer):
            merged[-1] = _conv_conv(previous, layer)
        else:
            merged.append(layer)
    return merged


def _is_linear(*convs: nn.Conv2d) -> bool:
    """Per-pixel matrix products, which may be multiplied together (no padding between them to get in the way)."""
    return all(c.kernel_size == (1, 1) and c.stride == (1, 1) and c.padding == (0, 0) and c.groups == 1 for c in convs)


def _with(conv: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    """A conv of `conv`'s geometry with these float64 weights and biases."""
    result = copy.deepcopy(conv)
    result.in_channels, result.out_channels = weight.shape[1] * conv.groups, weight.shape[0]
    result.weight = nn.Parameter(weight.to(conv.weight.dtype))
    result.bias = nn.Parameter(bias.to(conv.weight.dtype))
    return result


def _bias(conv: nn.Conv2d) -> torch.Tensor:
    zeros = torch.zeros(conv.out_channels, dtype=torch.float64, device=conv.weight.device)
    return zeros if conv.bias is None else conv.bias.double()


def _conv_bn(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = (_bias(conv) - norm.running_mean.double()) * scale + norm.bias.double()
    return _with(conv, conv.weight.double() * scale[:, None, None, None], bias)


def _conv_conv(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    one, two = first.weight.double()[:, :, 0, 0], second.weight.double()[:, :, 0, 0]
    return _with(second, (two @ one)[:, :, None, None], two @ _bias(first) + _bias(second))
