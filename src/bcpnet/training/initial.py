"""What a run starts from: random weights, a pre-trained encoder, or weights that bcpnet trained."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from bcpnet.checkpoint import load_checkpoint
from bcpnet.errors import InputError
from bcpnet.metadata import KEY
from bcpnet.networks import build
from bcpnet.networks.encoders.mobilenet_v2 import MobileNetV2, load_pretrained, narrowed
from bcpnet.training.recipes import Recipe
from bcpnet.weights import resolve


def make_network(recipe: Recipe, num_classes: int, images: Tensor | None) -> nn.Module:
    """The recipe's network with its initial weights.

    Args:
        recipe: says which network, seed and pre-trained weights.
        num_classes: K.
        images: N 3 H W network input of the training split, for the calibration of pre-trained batch norms; None
            leaves pre-trained weights out, for a saved state will be loaded.

    Raises:
        InputError: the pre-trained weights do not fit.
        UsageError: no weights of that name.
    """
    torch.manual_seed(recipe.seed)
    network = build(recipe.network, num_classes, **recipe.options)
    if recipe.pretrained != "none" and images is not None:
        path = resolve(recipe.pretrained, ".safetensors")
        if _is_checkpoint(path):
            go_on_from(network, recipe.network, path)
        else:
            encoder = getattr(network, "encoder", None)
            if not isinstance(encoder, MobileNetV2):
                raise InputError(f"{path}: pre-trained weights are for an encoder mobilenet_v2_*")
            load_pretrained(encoder, path, images)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
    return network


def go_on_from(network: nn.Module, name: str, path: Path) -> None:
    """Takes over the weights of a checkpoint: every tensor that `network` has too, in the same shape.

    Of wider encoder blocks it takes the strongest channels (`mobilenet_v2.narrowed`). What is new to it (a head for
    other classes, a further node) keeps its random weights.

    Args:
        network: changed in place.
        name: what it is called in `bcpnet.networks.NETWORKS`.
        path: a checkpoint of bcpnet.

    Raises:
        InputError: not a checkpoint, or of a network that has nothing in common with this one.
    """
    trained, metadata = load_checkpoint(path)
    own = network.state_dict()
    tensors = narrowed(trained.state_dict(), own)
    fitting = {key: tensor for key, tensor in tensors.items() if key in own and own[key].shape == tensor.shape}
    if metadata.network != name or not any(tensor.ndim > 1 for tensor in fitting.values()):
        raise InputError(
            f"{path}: weights of network {metadata.network} {metadata.options}; this one has no layer of its kind"
        )
    network.load_state_dict(own | fitting)


def _is_checkpoint(path: Path) -> bool:
    """Whether bcpnet wrote this file. False also where it cannot be read: `load_pretrained` tells why."""
    try:
        with safe_open(path, "pt") as file:
            return KEY in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False
