"""Checkpoints: safetensors with the metadata needed to use the weights. Loading is strict; nothing is unpickled."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from bcpnet.errors import InputError, UsageError
from bcpnet.metadata import KEY, Metadata
from bcpnet.networks import build
from bcpnet.storage.files import write_bytes


def save_checkpoint(path: Path, network: nn.Module, metadata: Metadata) -> None:
    """Writes weights and metadata to one safetensors file, whole or not at all. Raises InputError where it cannot."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(path, save(tensors, {KEY: metadata.to_json()}))


def load_checkpoint(path: Path) -> tuple[nn.Module, Metadata]:
    """Builds the network that `path` names and loads its weights, in evaluation mode on the CPU.

    Raises:
        InputError: missing, not safetensors, without bcpnet's metadata, or tensors that do not fit the network.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as file:
            entries = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a safetensors file ({error}); pickled weights are never loaded") from error
    if KEY not in entries:
        raise InputError(f"{path}: safetensors without bcpnet metadata; not written by bcpnet")
    metadata = Metadata.from_json(entries[KEY], str(path))
    try:
        network = build(metadata.network, len(metadata.classes), **metadata.options)
    except (UsageError, TypeError) as error:  # the file's fault, not the caller's
        raise InputError(f"{path}: its network cannot be built: {error}") from error
    expected = network.state_dict()
    for name in sorted(set(expected) ^ set(tensors)):
        where = "is not part of" if name in tensors else "is missing for"
        raise InputError(f"{path}: tensor {name} {where} network {metadata.network} {metadata.options}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"{path}: tensor {name} is {list(tensor.shape)}, the network has {list(expected[name].shape)}"
            )
    network.load_state_dict(tensors)
    return network.eval(), metadata
