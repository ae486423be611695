"""What a backend is: one call signature for every runtime."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from bcpnet.metadata import Metadata


class Backend(Protocol):
    """Runs one network. It may be called from several threads at once.

    Attributes:
        name: "onnxruntime", "openvino" or "pytorch".
        metadata: what came with the weights.
    """

    name: str
    metadata: Metadata

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """N x H x W x 3 uint8 images, RGB (H, W >= 32) -> N x K x ceil(H/8) x ceil(W/8) logits.

        Raises:
            InputError: the runtime fails, which it does where the memory is not enough.
        """
        ...
