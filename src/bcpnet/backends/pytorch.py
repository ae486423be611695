"""PyTorch backend: a checkpoint, folded, on the CPU or a GPU, in float32. Needs the extra `bcpnet[train]`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from bcpnet.backends.base import OpenedBackend, SizeChanges
from bcpnet.errors import InputError
from bcpnet.networks.checkpoint import load_checkpoint
from bcpnet.networks.fold import fold
from bcpnet.networks.frames import FrameNetwork
from bcpnet.storage.files import require_file

# Layers that oneDNN, and PyTorch's own cache in front of it, keep prepared for one input size each: those of some two
# sizes. By default 1,024: memory would grow by some 10 MiB with each new size of pictures. Read at the first layer.
for _name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_name, "150")

_PROCESS = os.getpid()  # that PyTorch was loaded in


class PytorchBackend(OpenedBackend):
    """Runs a checkpoint in float32; see `bcpnet.backends.base.Backend`."""

    name = "pytorch"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Loads a safetensors checkpoint; on a GPU where PyTorch finds one.

        Args:
            path: written by `bcpnet train`.
            threads: CPU threads, of the whole process; None leaves PyTorch's choice. In a process that was forked
                after PyTorch was loaded it is always one.

        Raises:
            InputError: not a bcpnet checkpoint.
        """
        super().__init__(path, threads)
        self._sizes = SizeChanges()
        if threads is not None:
            torch.set_num_threads(threads)
        _leave_lost_threads()
        require_file(path)
        network, self.metadata = load_checkpoint(path)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # Of the whole process. Left alone, PyTorch's convolutions round their inputs to TF32 on a GPU.
        torch.backends.cudnn.allow_tf32 = False
        self._network = FrameNetwork(fold(network)).to(self._device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """N x H x W x 3 uint8 images, RGB -> N x K x h x w logits.

        Raises:
            InputError: PyTorch fails, which it does where the memory is not enough.
        """
        _leave_lost_threads()
        self._sizes.see(images.shape)
        try:
            with torch.inference_mode():
                frames = torch.from_numpy(images).to(self._device)
                logits: npt.NDArray[np.float32] = self._network(frames).contiguous().cpu().numpy()
        except RuntimeError as error:
            count, height, width, _ = images.shape
            reason = str(error).splitlines()[0]
            raise InputError(f"PyTorch failed on {count} x {height}x{width} pixels: {reason}") from error
        return logits


def _leave_lost_threads() -> None:
    """In a forked process PyTorch would wait forever for OpenMP's threads, which exist in its parent alone."""
    if os.getpid() != _PROCESS:
        torch.set_num_threads(1)
