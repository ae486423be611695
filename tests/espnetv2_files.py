"""ESPNetv2 as its authors release it: a table of tensors under their names, in a file of PyTorch's."""

from __future__ import annotations

import io

import torch
from random_networks import randomised
from torch import Tensor

from bcpnet.networks.zoo.espnetv2 import ESPNetv2
from bcpnet.networks.zoo.espnetv2_weights import released_name


def random_espnetv2(scale: float, seed: int = 0) -> ESPNetv2:
    """For Cityscapes' classes, with random weights."""
    torch.manual_seed(seed)
    network = ESPNetv2(19, scale=scale)
    randomised(network, seed)
    return network


def released(network: ESPNetv2) -> dict[str, Tensor]:
    """The tensors of `network` as released: with a 20th logit, and all that only training uses."""
    tensors = {}
    for name, tensor in network.state_dict().items():
        if name.startswith("pyramid2.last.0."):
            tensor = torch.cat([tensor, torch.full_like(tensor[:1], 7.0)])
        if name.startswith("pyramid") and ".norm." in name and tensor.ndim:
            tensor = tensor.reshape(-1, 5).T.flatten()  # all of the first level, then all of the second
        tensors[released_name(name)] = tensor
    for level in ("level2_0", "level3_0", "level4_0"):
        unit = f"base_net.{level}.eesp."
        tensors[f"{unit}module_act.weight"] = torch.ones_like(tensors[f"{unit}br_after_cat.act.weight"])
    return tensors


def saved(content: object, *, old: bool = True) -> bytes:
    """A file of `torch.save`; `old`: as PyTorch wrote it in 2019, when the weights were released."""
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()
