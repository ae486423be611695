"""Checkpoints: safetensors with the metadata needed to use the weights. Loading is strict; nothing is unpickled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import nn
from torch.overrides import TorchFunctionMode

from bcpnet.errors import InputError, UsageError
from bcpnet.metadata import KEY, Metadata
from bcpnet.networks import build
from bcpnet.storage.damaged import damage, reason, shortened
from bcpnet.storage.files import write_bytes


def save_checkpoint(path: Path, network: nn.Module, metadata: Metadata) -> None:
    """Writes weights and metadata to one safetensors file, whole or not at all. Raises InputError where it cannot."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(path, save(tensors, {KEY: metadata.to_json()}))


def load_checkpoint(path: Path) -> tuple[nn.Module, Metadata]:
    """Builds the network that `path` names and loads its weights, in evaluation mode on the CPU.

    Raises:
        InputError: missing, not safetensors, without bcpnet's metadata, or tensors that do not fit the network,
            which is found out before memory is taken for it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as file:
            entries = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except damage("safetensors") as error:
        raise InputError(
            f"{path}: not a safetensors file ({reason(error)}); pickled weights are never loaded"
        ) from error
    if KEY not in entries:
        raise InputError(f"{path}: safetensors without bcpnet metadata; not written by bcpnet")
    metadata = Metadata.from_json(entries[KEY], str(path))
    # First without memory: the file may ask for any size. Only what fits its tensors is built for good.
    with torch.device("meta"):
        expected = _without_weights(path, metadata).state_dict()
    for name in sorted(set(expected) ^ set(tensors)):
        where = "is not part of" if name in tensors else "is missing for"
        options = shortened(metadata.options)
        raise InputError(f"{path}: tensor {shortened(name)} {where} network {metadata.network} {options}")
    for name, tensor in tensors.items():
        own = expected[name]
        if tensor.shape != own.shape:
            raise InputError(f"{path}: tensor {name} is {list(tensor.shape)}, the network has {list(own.shape)}")
        if tensor.dtype != own.dtype and not (tensor.is_floating_point() and own.is_floating_point()):
            raise InputError(f"{path}: tensor {name} is {tensor.dtype}, the network has {own.dtype}")
    network = _without_weights(path, metadata)
    network.load_state_dict(tensors)
    return network.eval(), metadata


class _NoInitialisation(TorchFunctionMode):
    """Leaves weights as they are: random numbers, for tensors without memory above all, would cost seconds."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        _types: Sequence[type],
        arguments: Sequence[Any] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> Any:
        keywords = keywords or {}
        if getattr(function, "__module__", "") == "torch.nn.init":
            return keywords.get("tensor", arguments[0] if arguments else None)
        return function(*arguments, **keywords)


def _without_weights(path: Path, metadata: Metadata) -> nn.Module:
    """The network that the file asks for, its weights left as they come."""
    try:
        with _NoInitialisation():
            return build(metadata.network, len(metadata.classes), **metadata.options)
    # The file's fault, not the caller's; the options may be anything that JSON can hold.
    except (UsageError, ArithmeticError, LookupError, TypeError) as error:
        raise InputError(f"{path}: its network cannot be built: {reason(error)}") from error
