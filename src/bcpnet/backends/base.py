"""What a backend is: one call signature for every runtime."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bcpnet.metadata import Metadata


class Backend(Protocol):
    """Runs one network. It may be called from several threads at once.

    Attributes:
        name: in `bcpnet.backends`.
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


@runtime_checkable
class ClassMapBackend(Backend, Protocol):
    """A backend that also upsamples and takes the argmax where it runs the network: only class maps leave a GPU."""

    def class_maps(self, images: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """N x h x w x 3 uint8 images, RGB, at network size -> N x H x W uint8 class maps of `size_hw`.

        What `bcpnet.frames.upsample.upsample_argmax` gives on the logits, ties aside.

        Raises:
            InputError: as `Backend.__call__`.
        """
        ...
