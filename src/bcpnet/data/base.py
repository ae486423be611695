"""What a dataset is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bcpnet.labels import ClassSet


class Sample(NamedTuple):
    """One image with its label.

    Attributes:
        image: H x W x 3 uint8, RGB.
        label: H x W uint8 train ids, 255 = ignore; None where the split has no labels.
        name: what the sample is called in file names and messages, unique in its split.
    """

    image: npt.NDArray[np.uint8]
    label: npt.NDArray[np.uint8] | None
    name: str


class Dataset(Protocol):
    """A sequence of samples; reading one decodes it anew."""

    classes: ClassSet

    def __len__(self) -> int:
        """Number of samples in the split."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Decodes sample `index` (0 <= index < len)."""
        ...
