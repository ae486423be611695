"""Networks to time that nobody trained, as files that the backends read. Needs PyTorch.

Their weights are random, so their time alone counts: what they say of a frame means nothing, and how the classes lie
decides how long post-processing takes. `widen` is for that: trained weights, with more classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bcpnet.backends import BACKENDS, weights_suffix
from bcpnet.benchmark.timing import Frame
from bcpnet.errors import UsageError
from bcpnet.labels import ClassSet
from bcpnet.metadata import Metadata
from bcpnet.networks import build
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint
from bcpnet.networks.frames import normalise
from bcpnet.onnx.export import export_onnx
from bcpnet.weights import resolve


class PreparedNetwork:
    """A network written for every backend, in a folder that the caller removes.

    Attributes:
        name: of the files.
        metadata: in them.
        parameters: learnable numbers.
        difference: between ONNX Runtime's logits and PyTorch's, relative to the largest.
    """

    def __init__(self, network: nn.Module, metadata: Metadata, folder: Path, name: str) -> None:
        """Writes FOLDER/NAME.onnx and FOLDER/NAME.safetensors. Raises InputError where export fails its check."""
        self.name = name
        self.metadata = metadata
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self._stem = folder / name
        save_checkpoint(self._stem.with_suffix(".safetensors"), network, metadata)
        self.difference = export_onnx(network, metadata, self._stem.with_suffix(".onnx"))

    def weights(self, backend: str | None = None) -> Path:
        """The file for `backend`: one of `bcpnet.backends.BACKENDS`, "auto", "baseline", or None = the default."""
        return self._stem.with_suffix(weights_suffix(backend) if backend in BACKENDS else ".onnx")


def random_network(
    name: str, num_classes: int, scenes: Sequence[Frame], folder: Path, **options: object
) -> PreparedNetwork:
    """Network `name` of `bcpnet.networks.NETWORKS` with random weights.

    Batch norm takes its statistics from `scenes` (two or more, of one size), so that activations are as large as in
    trained networks, however many layers there are; else they might shrink to denormal numbers, which are slow.

    Raises:
        UsageError: unknown name or option, not 1 to 255 classes.
        InputError: ONNX Runtime does not compute what the network does.
    """
    if not 1 <= num_classes <= 255:
        raise UsageError(f"{num_classes} classes: need 1 to 255")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(name, num_classes, **options)
        take_statistics(network, scenes)
    names = tuple(f"class {number}" for number in range(num_classes))
    colours = tuple((number, 255 - number, 7 * number % 256) for number in range(num_classes))
    metadata = Metadata(name, dict(options), ClassSet("random", names, colours), 360, provenance="random weights")
    return PreparedNetwork(network.eval(), metadata, folder, name)


def widen(weights: str | Path, num_classes: int, folder: Path) -> PreparedNetwork:
    """Trained weights with more classes than they were trained for, to time what many classes cost.

    Class K + i is a twin of class i: the same row of the last convolution, turned by a third in a random direction. So
    the twins share the region of their class between them, in patches. There are more borders, and more classes that
    nearly win, than a network trained for as many classes would show.

    Args:
        weights: a name that ships, or a .safetensors file.
        num_classes: from as many as the weights have to twice that.
        folder: for the files.

    Raises:
        UsageError: another number of classes, no such weights, or weights without a last convolution called "head".
        InputError: the weights cannot be read.
    """
    path = resolve(weights, ".safetensors")
    if path.suffix.lower() != ".safetensors":
        raise UsageError(f"{weights}: more classes need the .safetensors file that it was exported from")
    network, metadata = load_checkpoint(path)
    head = getattr(network, "head", None)
    old = len(metadata.classes)
    if not isinstance(head, nn.Conv2d):
        raise UsageError(f"{weights}: its network {metadata.network} has no last convolution to widen")
    if not old <= num_classes <= 2 * old:
        raise UsageError(f"{num_classes} classes: {weights} has {old}, and can be timed with up to {2 * old}")
    source = torch.arange(num_classes) % old
    weight = head.weight.detach()[source]
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    direction *= weight.norm(dim=1, keepdim=True) / direction.norm(dim=1, keepdim=True) / 3
    direction[:old] = 0
    wide = nn.Conv2d(head.in_channels, num_classes, 1)
    wide.weight = nn.Parameter(weight + direction)
    assert head.bias is not None
    wide.bias = nn.Parameter(head.bias.detach()[source])
    network.head = wide
    classes = metadata.classes
    names = tuple(classes.names[i % old] + " twin" * (i // old) for i in range(num_classes))
    colours = tuple(classes.colours[i % old] for i in range(num_classes))
    provenance = f"{metadata.provenance}; widened to {num_classes} classes, for timing only"
    wider = replace(metadata, classes=ClassSet(classes.name, names, colours), provenance=provenance)
    return PreparedNetwork(network, wider, folder, f"{path.stem}-{num_classes}-classes")


def take_statistics(network: nn.Module, scenes: Sequence[Frame]) -> None:
    """Gives batch norm the statistics of `scenes`: two or more H x W x 3 uint8 frames of one size."""
    images = normalise(torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2))
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
