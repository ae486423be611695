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


def test_a_frame_of_that_size_is_not_copied() -> None:
    frame = np.arange(256, dtype=np.uint8).repeat(3 * 12).reshape(32, 96, 3)
    assert preprocess(frame, (32, 96)) is frame
    mirrored = preprocess(frame[:, ::-1], (32, 96))
    assert mirrored.flags.c_contiguous
    np.testing.assert_array_equal(mirrored, frame[:, ::-1])


def test_channels_stay_red_green_blue() -> None:
    resized = preprocess(np.full((10, 20, 3), (128, 0, 255), np.uint8), (40, 56))
    assert resized.shape == (40, 56, 3)
    assert (resized == (128, 0, 255)).all()


def test_shrinking_is_antialiased() -> None:
    # Every pixel counts: a pattern of single columns becomes its mean, where plain bilinear would alias.
    frame = np.zeros((64, 512, 3), np.uint8)
    frame[:, ::2] = 255
    resized = preprocess(frame, (32, 64))
    assert np.abs(resized[:, 1:-1].astype(float) - 127.5).max() < 6


@pytest.mark.parametrize("frame_hw", [(1, 1), (1, 700), (33, 2)])
def test_tiny_frames(frame_hw: tuple[int, int]) -> None:
    size_hw = network_size_hw(frame_hw, 64)
    resized = preprocess(np.full((*frame_hw, 3), 64, np.uint8), size_hw)
    assert resized.shape == (*size_hw, 3)
    assert (resized == 64).all()
