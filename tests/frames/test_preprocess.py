"""Frame -> network input; the resizing in C, for every CPU level, is Pillow's to the bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import PIL
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bcpnet import native
from bcpnet.frames.preprocess import _resize_in_c, _resize_in_pillow, network_size_hw, preprocess

KERNELS = {level: kernels for level in native.LEVELS if (kernels := native.kernels(level)) is not None}
every_level = pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS)

sides = st.integers(1, 5000)

# Until Pillow 13 rows always went first, which rounds otherwise.
COLUMNS_MAY_GO_FIRST = int(PIL.__version__.split(".")[0]) >= 13


@given(frame_hw=st.tuples(sides, sides), short_side=st.integers(32, 1200))
def test_network_size(frame_hw: tuple[int, int], short_side: int) -> None:
    size_hw = network_size_hw(frame_hw, short_side)
    assert all(side % 8 == 0 and side >= 32 for side in size_hw)
    short = int(np.argmin(frame_hw))
    assert abs(size_hw[short] - short_side) <= 4
    aspect = max(frame_hw) / min(frame_hw)
    assert abs(max(size_hw) - min(aspect, 8) * short_side) <= 4 + 1e-9


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


def _noise(height: int, width: int, seed: int) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 256, 256, dtype=np.uint8) if seed % 2 else np.array([0, 255], np.uint8)
    return rng.choice(levels, (height, width, 3))


some_sides = st.one_of(st.integers(1, 12), st.integers(1, 90), st.integers(1, 400))


@every_level
@settings(max_examples=150)
@given(frame_hw=st.tuples(some_sides, some_sides), size_hw=st.tuples(some_sides, some_sides), seed=st.integers(0, 999))
@example((108, 192), (36, 64), 0)
@example((1, 1), (9, 7), 0)  # one pixel, growing
@example((333, 444), (1, 1), 0)  # to one pixel
@example((300, 300), (8, 299), 1)  # far more rows go than columns
@example((50, 64), (50, 40), 1)  # along rows only
@example((50, 64), (41, 64), 1)  # along columns only
def test_resizing_in_c_is_pillows(kernels: int, frame_hw: tuple[int, int], size_hw: tuple[int, int], seed: int) -> None:
    rows_dropped, columns_dropped = (have - want for have, want in zip(frame_hw, size_hw, strict=True))
    assume(frame_hw != size_hw)
    assume(COLUMNS_MAY_GO_FIRST or not 0 < rows_dropped > 2 * columns_dropped)
    frame = _noise(*frame_hw, seed)
    before = frame.copy()
    np.testing.assert_array_equal(_resize_in_c(kernels, frame, size_hw), _resize_in_pillow(frame, size_hw))
    np.testing.assert_array_equal(frame, before)


@every_level
@pytest.mark.parametrize("turned", [False, True])
def test_tens_of_thousands_of_white_pixels_stay_white(kernels: int, turned: bool) -> None:
    frame = np.full((3, 60000, 3), 255, np.uint8)
    size_hw = (3, 1)
    if turned:
        frame, size_hw = np.ascontiguousarray(frame.transpose(1, 0, 2)), (1, 3)
    assert (_resize_in_c(kernels, frame, size_hw) == 255).all()


@every_level
@pytest.mark.parametrize("size_hw", [(20, 30), (20, 61), (47, 30), (5, 60), (90, 100)])
def test_any_memory_layout(kernels: int, size_hw: tuple[int, int]) -> None:
    if size_hw == (5, 60) and not COLUMNS_MAY_GO_FIRST:
        pytest.skip("this Pillow rounds otherwise")
    frame = _noise(47, 61, 3)
    expected = _resize_in_pillow(frame, size_hw)
    cut_out = np.pad(frame, ((2, 3), (4, 5), (0, 0)), constant_values=77)[2:-3, 4:-5]
    with_alpha = np.pad(frame, ((0, 0), (0, 0), (0, 1)))[..., :3]
    upside_down, mirrored = frame[::-1].copy()[::-1], frame[:, ::-1].copy()[:, ::-1]
    for other in (cut_out, with_alpha, upside_down, mirrored, frame[..., ::-1].copy()[..., ::-1]):
        np.testing.assert_array_equal(_resize_in_c(kernels, other, size_hw), expected)


@pytest.mark.parametrize("frame", [np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3))])
def test_other_shapes_and_types_are_refused(frame: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="need H x W x 3 uint8"):
        preprocess(frame, (32, 32))
