"""Frame -> network input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.preprocess import network_size_hw, preprocess

sides = st.integers(1, 5000)


@given(frame_hw=st.tuples(sides, sides), short_side=st.integers(32, 1200))
def test_network_size(frame_hw: tuple[int, int], short_side: int) -> None:
    size_hw = network_size_hw(frame_hw, short_side)
    assert all(side % 8 == 0 and side >= 32 for side in size_hw)
    short = int(np.argmin(frame_hw))
    assert abs(size_hw[short] - short_side) <= 4
    aspect = max(frame_hw) / min(frame_hw)
    assert abs(max(size_hw) - min(aspect, 8) * short_side) <= 4


@pytest.mark.parametrize(
    ("frame_hw", "short_side", "size_hw"),
    [
        ((360, 480), 360, (360, 480)),
        ((720, 960), 360, (360, 480)),
        ((1080, 1920), 360, (360, 640)),
        ((1, 1), 360, (360, 360)),
        ((640, 360), 360, (640, 360)),
        ((4000, 1), 360, (2880, 360)),
    ],
)
def test_network_sizes(frame_hw: tuple[int, int], short_side: int, size_hw: tuple[int, int]) -> None:
    assert network_size_hw(frame_hw, short_side) == size_hw


def test_normalises_exactly() -> None:
    frame = np.arange(256, dtype=np.uint8).repeat(3 * 12).reshape(32, 96, 3)[:, ::-1]  # not contiguous
    planes = preprocess(frame, (32, 96))
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    np.testing.assert_array_equal(planes[0], (frame.transpose(2, 0, 1).astype(np.float64) - 128) / 128)


def test_channels_stay_red_green_blue() -> None:
    frame = np.full((10, 20, 3), (128, 0, 255), np.uint8)
    planes = preprocess(frame, (40, 56))
    assert planes.shape == (1, 3, 40, 56)
    for plane, value in zip(planes[0], (0, -1, 127 / 128), strict=True):
        assert (plane == np.float32(value)).all()


def test_shrinking_is_antialiased() -> None:
    # Every pixel counts: a pattern of single columns becomes its mean, where plain bilinear would alias.
    frame = np.zeros((64, 512, 3), np.uint8)
    frame[:, ::2] = 255
    planes = preprocess(frame, (32, 64))
    assert np.abs(planes[..., 1:-1]).max() < 0.05


@pytest.mark.parametrize("frame_hw", [(1, 1), (1, 700), (33, 2)])
def test_tiny_frames(frame_hw: tuple[int, int]) -> None:
    size_hw = network_size_hw(frame_hw, 64)
    planes = preprocess(np.full((*frame_hw, 3), 64, np.uint8), size_hw)
    assert planes.shape == (1, 3, *size_hw)
    assert (planes == -0.5).all()
