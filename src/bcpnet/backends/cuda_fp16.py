"""Float16 on an NVIDIA GPU, class maps included: needs the extra `bcpnet[train]`, where PyTorch brings Triton."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bcpnet.backends.base import OpenedBackend
from bcpnet.errors import InputError, UsageError
from bcpnet.networks.checkpoint import load_checkpoint


class CudaFp16Backend(OpenedBackend):
    """Runs a checkpoint; see `bcpnet.backends.base.ClassMapBackend`.

    Weights and feature maps are float16, sums and logits float32. For float32 there is the backend pytorch.
    """

    name = "cuda_fp16"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Loads a safetensors checkpoint.

        Args:
            path: written by `bcpnet train`.
            threads: of the CPU: none is used.

        Raises:
            UsageError: PyTorch finds no GPU.
            InputError: not a bcpnet checkpoint.
        """
        super().__init__(path, threads)
        if not torch.cuda.is_available():
            raise UsageError(
                f"the backend {self.name} needs an NVIDIA GPU, and PyTorch finds none: use another backend"
            )
        # Not before: without a GPU mostly there is no Triton either, and that is not what is missing.
        from bcpnet.gpu.graphs import Graphs
        from bcpnet.gpu.network import gpu_network

        network, self.metadata = load_checkpoint(path)
        device = torch.device("cuda", torch.cuda.current_device())
        with torch.inference_mode():
            self._graphs = Graphs(gpu_network(network, torch.float16, device), device)

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """N x H x W x 3 uint8 images, RGB -> N x K x ceil(H/8) x ceil(W/8) logits.

        Raises:
            InputError: CUDA fails, which it does where the GPU's memory is not enough.
        """
        return self._run(images, None)

    def class_maps(self, images: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """N x h x w x 3 uint8 images, RGB, at network size -> N x H x W uint8 class maps of `size_hw`.

        Raises:
            InputError: as `__call__`.
        """
        return self._run(images, size_hw)

    def _run(self, images: npt.NDArray[np.uint8], size_hw: tuple[int, int] | None) -> npt.NDArray[Any]:
        from bcpnet.gpu.graphs import Job

        count, height, width, channels = images.shape
        try:
            with self._graphs.lend(Job((count, height, width, channels), size_hw)) as graph:
                return graph(images)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"CUDA failed on {count} x {height}x{width} pixels: {reason}") from error
