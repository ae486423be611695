"""What a run starts from: random weights, a pre-trained encoder, or weights that bcpnet trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from bcpnet.errors import InputError
from bcpnet.labels import ClassSet, classes_within
from bcpnet.metadata import KEY
from bcpnet.networks import build
from bcpnet.networks.checkpoint import load_checkpoint
from bcpnet.networks.encoders.mobilenet_v2 import MobileNetV2, load_pretrained, narrowed
from bcpnet.storage.damaged import damage
from bcpnet.training.augment import augment
from bcpnet.training.batches import Examples
from bcpnet.training.recipe import Recipe
from bcpnet.weights import resolve


def make_network(recipe: Recipe, classes: ClassSet, images: Tensor | None) -> nn.Module:
    """The recipe's network with its initial weights.

    Args:
        recipe: says which network, seed and pre-trained weights.
        classes: that it tells apart.
        images: N 3 H W network input of the training split, for the calibration of pre-trained batch norms; None
            leaves pre-trained weights out, for a saved state will be loaded.

    Raises:
        InputError: the pre-trained weights do not fit.
        UsageError: no weights of that name.
    """
    torch.manual_seed(recipe.seed)
    network = build(recipe.network, len(classes), **recipe.options)
    if recipe.pretrained != "none" and images is not None:
        path = resolve(recipe.pretrained, ".safetensors")
        if _is_checkpoint(path):
            go_on_from(network, recipe.network, classes, path)
        else:
            encoder = getattr(network, "encoder", None)
            if not isinstance(encoder, MobileNetV2):
                raise InputError(f"{path}: pre-trained weights are for an encoder mobilenet_v2_*")
            load_pretrained(encoder, path, images)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
    return network


def calibration_images(examples: Examples, recipe: Recipe) -> Tensor:
    """A few training images for `make_network`, the same in every run: N 3 H W network input."""
    chosen = np.linspace(0, len(examples) - 1, 16).astype(int)
    return augment(
        [examples[int(index)] for index in chosen],
        short_side=recipe.short_side, crop_hw=(recipe.crop_h, recipe.crop_w), scale=(1.0, 1.0), flip=False, jitter=0.0,
        generator=torch.Generator(),
    ).inputs  # fmt: skip


def go_on_from(network: nn.Module, name: str, classes: ClassSet, path: Path) -> None:
    """Takes over the weights of a checkpoint: every tensor that `network` has too, in the same shape.

    Of wider encoder blocks it takes the strongest channels (`mobilenet_v2.narrowed`). A head for other classes starts,
    class by class, as the mean of those that mean it (`labels.classes_within`). What is new to the network (a class
    that the checkpoint does not know, a further node) keeps its random weights.

    Args:
        network: changed in place.
        name: what it is called in `bcpnet.networks.NETWORKS`.
        classes: that it tells apart.
        path: a checkpoint of bcpnet.

    Raises:
        InputError: not a checkpoint, or of a network that has nothing in common with this one.
    """
    trained, metadata = load_checkpoint(path)
    own = network.state_dict()
    tensors = narrowed(trained.state_dict(), own)
    if metadata.classes != classes:
        with torch.device("meta"):  # a head's tensors are those that depend on the number of classes
            other = build(metadata.network, len(metadata.classes) + 1, **metadata.options).state_dict()
        for key, tensor in trained.state_dict().items():
            if key in own and tensor.shape != other[key].shape:
                tensors[key] = _by_class(tensors[key], own[key], metadata.classes, classes)
    fitting = {key: tensor for key, tensor in tensors.items() if key in own and own[key].shape == tensor.shape}
    if metadata.network != name or not any(tensor.ndim > 1 for tensor in fitting.values()):
        raise InputError(
            f"{path}: weights of network {metadata.network} {metadata.options}; this one has no layer of its kind"
        )
    network.load_state_dict(own | fitting)


def _by_class(tensor: Tensor, own: Tensor, before: ClassSet, now: ClassSet) -> Tensor:
    """A head's tensor for the classes `now`, made of one for those `before` where it has a row for each class."""
    if tensor.shape[1:] != own.shape[1:] or (len(tensor), len(own)) != (len(before), len(now)):
        return tensor
    within = classes_within(now, before)
    return torch.stack([tensor[ids].mean(0) if ids else row for ids, row in zip(within, own, strict=True)])


def _is_checkpoint(path: Path) -> bool:
    """Whether bcpnet wrote this file. False also where it cannot be read: `load_pretrained` tells why."""
    try:
        with safe_open(path, "pt") as file:
            return KEY in (file.metadata() or {})
    except damage("safetensors"):
        return False
