"""The ESPNetv2 weights that its authors released (sacmehta/EdgeNets), trained on Cityscapes, in our network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bcpnet.errors import InputError
from bcpnet.networks.zoo.espnetv2 import LEVELS, ESPNetv2
from bcpnet.storage.damaged import damage

CLASSES = 19  # Cityscapes'; the release has one logit more, background

# What turns our names into the released ones, one after the other.
_RENAMED = (
    (r"^stem\.", "base_net.level1."),
    (r"^down4\.", "base_net.level2_0."),
    (r"^down8\.", "base_net.level3_0."),
    (r"^down16\.", "base_net.level4_0."),
    (r"^blocks8\.(\d)\.act\.", r"base_net.level3.\1.module_act."),
    (r"^blocks8\.(\d)\.eesp\.", r"base_net.level3.\1."),
    (r"^blocks16\.(\d)\.act\.", r"base_net.level4.\1.module_act."),
    (r"^blocks16\.(\d)\.eesp\.", r"base_net.level4.\1."),
    (r"\.reinforce\.", ".inp_reinf."),
    (r"\.reduce\.", ".proj_1x1."),
    (r"\.branches\.(\d)\.", r".spp_dw.\1.conv."),
    (r"^(base_net.*)\.norm\.0\.", r"\1.br_after_cat.bn."),
    (r"^(base_net.*)\.norm\.1\.", r"\1.br_after_cat.act."),
    (r"^(base_net.*)\.merge\.", r"\1.conv_1x1_exp."),
    (r"^(base_net.*)\.0\.(\w+)$", r"\1.conv.\2"),
    (r"^(base_net.*)\.1\.(\w+)$", r"\1.bn.\2"),
    (r"^(base_net.*)\.2\.(\w+)$", r"\1.act.\2"),
    (r"^pyramid16\.", "bu_dec_l1."),
    (r"^pyramid8\.", "bu_dec_l2."),
    (r"^pyramid4\.", "bu_dec_l3."),
    (r"^pyramid2\.", "bu_dec_l4."),
    (r"\.project\.", ".projection_layer.cbr."),
    (r"\.levels\.(\d)\.0\.", r".stages.\1."),
    (r"\.norm\.", ".merge_layer.0.br."),
    (r"\.merge\.", ".merge_layer.2.cbr."),
    (r"\.last\.0\.", ".merge_layer.3."),
    (r"\.last\.1\.", ".br.br.0."),
    (r"\.last\.2\.", ".br.br.1."),
    (r"^skip8\.", "merge_enc_dec_l2."),
    (r"^skip4\.", "merge_enc_dec_l3."),
    (r"^skip2\.", "merge_enc_dec_l4."),
    (r"\.conv\.(\d)\.", r".expansion_layer.cbr.\1."),
    (r"\.gate\.0\.", ".wt_layer.1."),
    (r"^norm8\.", "bu_br_l2."),
    (r"^norm4\.", "bu_br_l3."),
    (r"^norm2\.", "bu_br_l4."),
)
# The units that halve the resolution have an activation that the release never uses.
_UNUSED = re.compile(r"base_net\.level\d_0\.eesp\.module_act\.weight")
_COUNTER = ".num_batches_tracked"
_HEAD = "pyramid2.last.0."


def read_release(path: Path, scale: float) -> ESPNetv2:
    """`from_release` for a file of PyTorch's, pickled. Nothing but tensors is unpickled.

    Raises:
        InputError: not such a file, or not the weights of ESPNetv2 of that scale, trained on Cityscapes.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except damage("torch") as error:
        raise InputError(
            f"{path}: damaged, or not a PyTorch file of tensors alone ({type(error).__name__}); nothing else is loaded"
        ) from error
    if not isinstance(loaded, Mapping) or not all(isinstance(name, str) for name in loaded):
        raise InputError(f"{path}: a PyTorch file, but not a table of tensors by name")
    try:
        return from_release(loaded, scale)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def from_release(tensors: Mapping[str, object], scale: float) -> ESPNetv2:
    """ESPNetv2 for Cityscapes' 19 classes with the released weights, in evaluation mode.

    Args:
        tensors: by their released names; the batch norms' `num_batches_tracked` may be left out.
        scale: of the released network.

    Raises:
        InputError: a tensor is missing, not ESPNetv2's, of another kind or shape, or not finite.
    """
    network = ESPNetv2(CLASSES, scale=scale)
    found = {}
    used = set()
    for name, expected in network.state_dict().items():
        if name.endswith(_COUNTER):
            found[name] = expected
            continue
        released = released_name(name)
        if released not in tensors:
            raise InputError(f"tensor {released} of ESPNetv2 is missing")
        used.add(released)
        found[name] = _our_layout(name, _checked(released, tensors[released], _released_shape(name, expected)))
    for released in tensors:
        if not (released in used or released.endswith(_COUNTER) or _UNUSED.fullmatch(released)):
            raise InputError(f"tensor {released!r} is not part of ESPNetv2")
    network.load_state_dict(found)
    return network.eval()


def released_name(name: str) -> str:
    """What the release calls the tensor `name` of our network."""
    for ours, released in _RENAMED:
        name = re.sub(ours, released, name)
    return name


def _released_shape(name: str, ours: Tensor) -> list[int]:
    """That of our tensor, but a head of one class more."""
    first, *rest = ours.shape
    return [first + name.startswith(_HEAD), *rest]


def _checked(released: str, tensor: object, shape: list[int]) -> Tensor:
    """`tensor`. Raises InputError unless it holds finite floats in that shape."""
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32 or tensor.layout != torch.strided:
        raise InputError(f"{released} is not a tensor of float32")
    if list(tensor.shape) != shape:
        raise InputError(f"tensor {released} is {list(tensor.shape)}, the network wants {shape}")
    if not tensor.isfinite().all():
        raise InputError(f"tensor {released} has values that are not finite")
    return tensor


def _our_layout(name: str, tensor: Tensor) -> Tensor:
    """The head less its last class; a pyramid's norm with each channel's five levels side by side."""
    if name.startswith(_HEAD):
        return tensor[:CLASSES]
    if re.match(r"pyramid\d+\.norm\.", name):
        return tensor.reshape(len(LEVELS), -1).T.flatten()
    return tensor
