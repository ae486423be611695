"""Display matrices and pixel aspects: what is shown is what the file says."""

from __future__ import annotations

import gc
import itertools
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from media_files import noise, write_clip

from bcpnet.media.video import VideoWriter, read_video, video_info
from bcpnet.media.video.upright import Upright, _by_angle, by_matrix

Matrix = tuple[int, int, int, int]  # a, b, c, d of ISO 14496-12, 6.2.2: (x, y) is shown at (a x + c y, b x + d y)

# Signs on a diagonal or an antidiagonal: the eight ways to lay a picture down.
MATRICES: list[Matrix] = [
    matrix
    for x, y in itertools.product((1, -1), repeat=2)
    for matrix in ((x, 0, 0, y), (0, x, y, 0))
]  # fmt: skip


def shown(image: npt.NDArray[np.uint8], matrix: Matrix) -> npt.NDArray[np.uint8]:
    """Pixel by pixel, as the standard defines the matrix; moved so that the picture begins at (0, 0)."""
    a, b, c, d = matrix
    height, width, _ = image.shape
    places = {(y, x): (b * x + d * y, a * x + c * y) for y in range(height) for x in range(width)}
    top, left = (min(place[axis] for place in places.values()) for axis in (0, 1))
    bottom, right = (max(place[axis] for place in places.values()) for axis in (0, 1))
    picture = np.zeros((bottom - top + 1, right - left + 1, 3), np.uint8)
    for (y, x), (row, column) in places.items():
        picture[row - top, column - left] = image[y, x]
    return picture


def lay_down(clip: Path, matrix: Matrix, to: Path, one: int = 1 << 16) -> Path:
    data = bytearray(clip.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value * one for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    to.write_bytes(data)
    return to


@pytest.mark.parametrize("size_hw", [(24, 40), (31, 22)])
@pytest.mark.parametrize("matrix", MATRICES)
def test_frames_are_shown_as_the_matrix_says(matrix: Matrix, size_hw: tuple[int, int], tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "x.mp4", 2, 25, size_hw)
    stored = list(read_video(clip))
    turned = lay_down(clip, matrix, tmp_path / "turned.mp4")
    for image, before in zip(read_video(turned), stored, strict=True):
        assert image.flags.c_contiguous
        np.testing.assert_array_equal(image, shown(before, matrix))
    assert video_info(turned).size_hw == shown(stored[0], matrix).shape[:2]


def test_pyav_agrees_where_it_knows_an_angle(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "x.mp4", 1)
    image = noise(5, 7)
    for matrix in MATRICES:
        a, b, c, d = matrix
        if a * d - b * c == 1:  # turned only, not mirrored
            with av.open(lay_down(clip, matrix, tmp_path / "turned.mp4")) as container:
                angle = next(container.decode(video=0)).rotation
            np.testing.assert_array_equal(_by_angle(angle)(image), by_matrix(a, b, 0, c, d, 0, 0, 0, 1)(image))
            np.testing.assert_array_equal(_by_angle(angle)(image), np.rot90(image, angle // 90))


@pytest.mark.parametrize(
    "matrix", [(0, 0, 0, 0), (1, 1, -1, 1), (3, 1, -1, 3), (1, 0, 0, 0), (-(2**15), 0, 0, 2**15 - 1)]
)
def test_no_matrix_is_too_odd(matrix: Matrix, tmp_path: Path) -> None:
    turned = lay_down(write_clip(tmp_path / "x.mp4", 1), matrix, tmp_path / "y.mp4", one=1)
    assert len(list(read_video(turned))) == 1
    assert by_matrix(matrix[0], matrix[1], 0, matrix[2], matrix[3], 0, 0, 0, 1) in (Upright(), Upright(mirrored=True))


@pytest.mark.parametrize("matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (0, 1, 1, 0)])
def test_pixel_aspect(matrix: Matrix, tmp_path: Path) -> None:
    aspect = Fraction(64, 45)  # PAL, 16:9
    with VideoWriter(tmp_path / "x.mp4", (48, 64), 25, pixel_aspect=aspect) as writer:
        writer.write(noise(48, 64))
    info = video_info(lay_down(tmp_path / "x.mp4", matrix, tmp_path / "y.mp4"))
    assert info.pixel_aspect == (aspect if matrix[0] else 1 / aspect)
    with av.open(tmp_path / "x.mp4") as container:
        assert container.streams.video[0].sample_aspect_ratio == aspect
    assert video_info(write_clip(tmp_path / "z.mp4")).pixel_aspect == 1


def test_frames_are_let_go_at_once(tmp_path: Path) -> None:
    """Not when Python looks for circles of references: hundreds of frames would wait for that."""
    path = write_clip(tmp_path / "x.mp4", 3)
    gc.collect()
    gc.disable()
    try:
        for image in read_video(path):
            assert image.shape == (48, 64, 3)
        del image
        circles = gc.collect()
    finally:
        gc.enable()
    assert circles == 0
