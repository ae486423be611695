"""Pictures, clips and a full disk for the tests of images, video and media."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bcpnet.media.video import VideoWriter

RNG = np.random.default_rng(0)


def noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def scene(index: int, height: int = 48, width: int = 64) -> npt.NDArray[np.uint8]:
    """A smooth picture, another one for each index: lossy codecs keep it within a few levels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 3 % 200 + 20, y * 4 % 200 + 20, np.full_like(x, index * 9 % 256)], axis=-1).astype(np.uint8)


def write_clip(path: Path, count: int = 12, fps: Fraction | float = 25, size_hw: tuple[int, int] = (48, 64)) -> Path:
    with VideoWriter(path, size_hw, fps) as writer:
        for index in range(count):
            writer.write(scene(index, *size_hw))
    return path


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Writing past `size` bytes fails, as on a full disk."""
    resource = pytest.importorskip("resource", reason="no file size limits on this system")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
