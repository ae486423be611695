"""A live source that is worked on ahead, and ends when its results are no longer wanted."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bcpnet.media.live.address import Address
from bcpnet.media.live.open import source_of

R = TypeVar("R")
Images = Generator[npt.NDArray[np.uint8], None, None]


def live_results(address: Address, work: Callable[[Images], Generator[R, None, None]]) -> Generator[R, None, None]:
    """Yields what `work` makes of the source's images. Closing it does not wait for the next image.

    Raises:
        InputError: the source cannot be opened, or breaks off.
    """
    with source_of(address) as source, closing(work(frame.image for frame in source)) as results:
        try:
            for result in results:  # noqa: UP028 ("yield from" would close them before the source is stopped)
                yield result
        finally:
            source.stop()
