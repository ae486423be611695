"""Kinds of pictures: odd EXIF, odd pixels, large ones, what is no picture. Other readers say what is right."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from media_files import noise
from PIL import Image

from bcpnet.benchmark.memory import peak_mib
from bcpnet.errors import InputError
from bcpnet.media.images import MOST_PIXELS, read_header, read_image, save_image

SHORT, LONG, ASCII, RATIONAL, BYTES = 3, 4, 2, 5, 7
ORIENTATION = 0x112


def tags(entries: list[tuple[int, int, int, int]], pixels: bytes = b"", places: tuple[int, ...] = ()) -> bytes:
    """A little-endian TIFF: (tag, type, count, value) each; `pixels` follow, and tags in `places` point to them."""
    end = 8 + 2 + 12 * len(entries) + 4
    rows = (
        struct.pack("<HHII", tag, kind, count, end if tag in places else value)
        for tag, kind, count, value in sorted(entries)
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(rows) + bytes(4) + pixels


def tiff(pixels: bytes, bits: int, photometric: int = 1, sample_format: int = 1, extra: tuple[Any, ...] = ()) -> bytes:
    """A TIFF of one row of four pixels."""
    return tags(
        [
            (256, LONG, 1, 4), (257, LONG, 1, 1), (258, SHORT, 1, bits), (259, SHORT, 1, 1),
            (262, SHORT, 1, photometric), (273, LONG, 1, 0), (277, SHORT, 1, 1), (278, LONG, 1, 1),
            (279, LONG, 1, len(pixels)), (339, SHORT, 1, sample_format), *extra,
        ],
        pixels, (273,),
    )  # fmt: skip


# Blocks that say nothing about the picture that a reader could use.
ODD_EXIF = {
    "empty": b"",
    "no TIFF": bytes(range(200)),
    "zeros": bytes(64),
    "cut off": tags([(ORIENTATION, SHORT, 1, 1)])[:13],
    "65535 entries": b"II*\0\x08\0\0\0\xff\xff",
    "orientation 0": tags([(ORIENTATION, SHORT, 1, 0)]),
    "orientation 9": tags([(ORIENTATION, SHORT, 1, 9)]),
    "orientation 65535": tags([(ORIENTATION, SHORT, 1, 65535)]),
    "orientation as text": tags([(ORIENTATION, ASCII, 2, ord("6"))]),
    "orientation as fraction": tags([(ORIENTATION, RATIONAL, 1, 8)]),
    "orientation as bytes": tags([(ORIENTATION, BYTES, 4, 0x06060606)]),
    "orientation of an unknown type": tags([(ORIENTATION, 99, 1, 6)]),
    "orientation far outside": tags([(ORIENTATION, SHORT, 1000, 10**9)]),
    "directories in a circle": tags([(0x8769, LONG, 1, 8), (0x8825, LONG, 1, 8)]),
    "directories outside": tags([(0x8769, LONG, 1, 2**31), (0x8825, LONG, 1, 99_999)]),
    "resolution over zero": tags([(0x11A, RATIONAL, 1, 8), (0x128, SHORT, 1, 2)]),
}


@pytest.mark.filterwarnings("ignore")  # Pillow's own remarks
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "MPO"])
@pytest.mark.parametrize("kind", ODD_EXIF)
def test_odd_exif_does_not_refuse_or_turn_a_good_picture(tmp_path: Path, image_format: str, kind: str) -> None:
    picture = Image.fromarray(noise(6, 9))
    options: dict[str, Any] = {"lossless": True} if image_format == "WEBP" else {}
    prefix = b"Exif\0\0" if image_format in ("JPEG", "MPO") else b""
    picture.save(tmp_path / "plain", image_format, **options)
    picture.save(tmp_path / "odd", image_format, exif=prefix + ODD_EXIF[kind], **options)
    np.testing.assert_array_equal(read_image(tmp_path / "odd"), read_image(tmp_path / "plain"))


@pytest.mark.filterwarnings("ignore")
def test_exif_of_any_bytes(tmp_path: Path) -> None:
    chance = random.Random(0)
    picture = Image.fromarray(noise(6, 9))
    whole = tags([(0x10F, ASCII, 4, 0), (ORIENTATION, SHORT, 1, 1), (0x11A, RATIONAL, 1, 8), (0x8769, LONG, 1, 8)])
    for _ in range(150):
        odd = bytearray(whole)
        for _ in range(chance.choice([1, 3, 8])):
            odd[chance.randrange(8, len(odd))] = chance.randrange(256)
        picture.save(tmp_path / "odd.png", exif=bytes(odd))
        read = read_image(tmp_path / "odd.png")
        assert sorted(read.shape) == [3, 6, 9]  # which bytes mean an orientation is Pillow's to say


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "odd",
    [
        (ORIENTATION, SHORT, 1, 9), (ORIENTATION, ASCII, 2, ord("6")), (0x8769, LONG, 1, 2**31),
        (0x8825, LONG, 1, 8), (700, ASCII, 4, 0x41414141), (700, BYTES, 2**30, 8), (34675, BYTES, 2**30, 8),
    ],
)  # fmt: skip
def test_odd_tags_of_a_tiff(tmp_path: Path, odd: tuple[int, int, int, int]) -> None:
    (tmp_path / "x.tif").write_bytes(tiff(bytes([1, 2, 3, 4]), 8, extra=(odd,)))
    assert read_image(tmp_path / "x.tif")[0, :, 0].tolist() == [1, 2, 3, 4]


# Kinds of pixels in a TIFF: what read_image makes of the four.
TIFF_PIXELS = {
    "8 bits": (tiff(bytes([0, 255, 1, 10]), 8), [0, 255, 1, 10]),
    "8 bits, 0 is white": (tiff(bytes([0, 255, 1, 10]), 8, 0), [255, 0, 254, 245]),
    "16 bits": (tiff(struct.pack("<4H", 0, 65535, 257, 2570), 16), [0, 255, 1, 10]),
    "16 bits, 0 is white": (tiff(struct.pack("<4H", 0, 65535, 257, 1), 16, 0), "0 is white"),
    "12 bits": (tiff(b"\xff\xf0\x00\x80\x01\x00", 12), "neither 8 nor 16 bits"),
    "signed 8 bits": (tiff(struct.pack("<4b", -1, 1, 2, 3), 8, 1, 2), "signed"),
    "signed 16 bits": (tiff(struct.pack("<4h", -1, 1, 2, 3), 16, 1, 2), "signed"),
    "signed 32 bits, as NumPy's int": (tiff(struct.pack("<4i", 0, 1, 2, 255), 32, 1, 2), "32-bit"),
    "unsigned 32 bits": (tiff(struct.pack("<4I", 0, 1, 2, 255), 32), "32-bit"),
    "floats": (tiff(struct.pack("<4f", 0, 1, 2, 255), 32, 1, 3), "floating-point"),
    "half floats": (tiff(np.arange(4, dtype=np.float16).tobytes(), 16, 1, 3), "not an image of a known format"),
    "double floats": (tiff(struct.pack("<4d", 0, 1, 2, 255), 64, 1, 3), "not an image of a known format"),
}


@pytest.mark.parametrize("kind", TIFF_PIXELS)
def test_pixels_of_a_tiff_are_read_right_or_refused(tmp_path: Path, kind: str) -> None:
    data, expected = TIFF_PIXELS[kind]
    path = tmp_path / "x.tif"
    path.write_bytes(data)
    if isinstance(expected, list):
        assert read_image(path)[0].tolist() == [[value] * 3 for value in expected]
        return
    with pytest.raises(InputError, match=expected) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def png(depth: int, colour_type: int, row: bytes, width: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of one row, as w3.org/TR/png-3 describes it."""
    header = struct.pack(">IIBBBBB", width, 1, depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    )


PALETTE = (b"PLTE", bytes([9, 8, 7, 6, 5, 4, 3, 2, 1]))
PNG_PIXELS = {
    "16-bit colour: the upper byte": (png(16, 2, struct.pack(">3H", 255, 65407, 257), 1), [[0, 255, 1]]),
    "16-bit grey": (png(16, 0, struct.pack(">3H", 129, 65407, 257), 3), [[1] * 3, [255] * 3, [1] * 3]),
    "16-bit grey and a transparent value": (png(16, 0, b"\x80\0", 1, (b"tRNS", b"\x80\0")), [[128] * 3]),
    "4-bit grey": (png(4, 0, b"\x0f\x10", 3), [[0] * 3, [255] * 3, [17] * 3]),
    "palette": (png(8, 3, b"\0\1\2", 3, PALETTE), [[9, 8, 7], [6, 5, 4], [3, 2, 1]]),
    "palette, in part transparent": (
        png(8, 3, b"\0\1\2", 3, PALETTE, (b"tRNS", b"\0\x80")),
        [[9, 8, 7], [6, 5, 4], [3, 2, 1]],
    ),
    "1-bit palette": (png(1, 3, b"\x40", 2, PALETTE), [[9, 8, 7], [6, 5, 4]]),
    "beyond the palette": (png(8, 3, b"\0\7", 2, PALETTE), [[9, 8, 7], [0, 0, 0]]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", PNG_PIXELS)
def test_pixels_of_a_png(tmp_path: Path, kind: str) -> None:
    data, expected = PNG_PIXELS[kind]
    (tmp_path / "x.png").write_bytes(data)
    assert read_image(tmp_path / "x.png")[0].tolist() == expected


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_picture_of_several(tmp_path: Path, image_format: str) -> None:
    first, *others = (Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
    options: dict[str, Any] = {"lossless": True} if image_format == "WEBP" else {}
    first.save(tmp_path / "x", image_format, save_all=True, append_images=others, **options)
    assert np.unique(read_image(tmp_path / "x").reshape(-1, 3), axis=0).tolist() == [[255, 0, 0]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_as_opencv_has_it_and_in_a_tiff_alike(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    blocks = noise(3, 5).repeat(16, axis=0).repeat(16, axis=1)
    for suffix in (".jpg", ".tif", ".png"):
        Image.fromarray(blocks).save(tmp_path / f"x{suffix}", exif=exif, quality=100)
    expected = cv2.imread(str(tmp_path / "x.jpg"), cv2.IMREAD_COLOR)
    assert expected is not None
    difference = np.abs(read_image(tmp_path / "x.jpg").astype(int) - expected[:, :, ::-1])
    assert difference.mean() < 4  # two JPEG decoders
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), read_image(tmp_path / "x.png"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_of_any_mode_is_turned_like_its_pixels(tmp_path: Path, mode: str, orientation: int) -> None:
    """Pillow maps those that are not compressed, and takes the sides of one that lies on its side for each other."""
    grey = Image.fromarray(noise(6, 8)[:, :, 0].repeat(8, axis=0).repeat(8, axis=1))
    picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture.save(tmp_path / "stored.tif")
    picture.save(tmp_path / "turned.tif", exif=exif)
    Image.fromarray(read_image(tmp_path / "stored.tif")).save(tmp_path / "as.png", exif=exif)
    expected = read_image(tmp_path / "as.png")
    np.testing.assert_array_equal(read_image(tmp_path / "turned.tif"), expected)
    assert read_header(tmp_path / "turned.tif") == (expected.shape[1::-1], orientation)


def test_large_pictures_are_converted_in_strips_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcpnet.media.images._STRIP_PIXELS", 40)
    colour = noise(13, 9)
    indexed = Image.fromarray(colour[:, :, 0])
    indexed.putpalette(noise(256, 1).tobytes())
    for picture in (Image.fromarray(colour), Image.fromarray(colour[:, :, 0].astype(np.uint16) * 257), indexed):
        picture.save(tmp_path / "x.png")
        with Image.open(tmp_path / "x.png") as opened:
            expected = np.array(indexed.convert("RGB")) if opened.mode == "P" else None
            expected = colour if opened.mode == "RGB" else expected
        if expected is None:
            expected = colour[:, :, :1].repeat(3, axis=2)
        np.testing.assert_array_equal(read_image(tmp_path / "x.png"), expected)


CHILD = """
import sys
from bcpnet.benchmark.memory import peak_mib
from bcpnet.errors import InputError
from bcpnet.media.images import read_image
before = peak_mib()
try:
    pixels = read_image(sys.argv[1]).size // 3
except InputError as error:
    print(error)
    pixels = 0
print(pixels, round((peak_mib() - before) * 2**20))
"""


def _read_in_a_process_of_its_own(path: Path) -> tuple[list[str], int, int]:
    """What it says, pixels, bytes of memory."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, path], capture_output=True, text=True, check=True
    )
    *said, counts = run.stdout.splitlines()
    pixels, memory = map(int, counts.split())
    return said, pixels, memory


@pytest.mark.skipif(peak_mib() is None, reason="no memory figures on this system")
@pytest.mark.parametrize("mode", ["I;16", "RGB"])
def test_memory_is_a_few_bytes_a_pixel(tmp_path: Path, mode: str) -> None:
    side = 4000
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.new(mode, (side, side)).save(tmp_path / "x.png", exif=exif, compress_level=1)
    (path,) = tmp_path.iterdir()
    said, pixels, memory = _read_in_a_process_of_its_own(path)
    assert said == []
    assert pixels == side * side
    assert memory / pixels < 11  # 4 and 3, and what a strip takes


@pytest.mark.skipif(peak_mib() is None, reason="no memory figures on this system")
def test_what_is_too_large_is_refused_before_decoding(tmp_path: Path) -> None:
    side = int(MOST_PIXELS**0.5) + 1
    (tmp_path / "x.pgm").write_bytes(b"P5 %d %d 255\n" % (side, side))
    os.truncate(tmp_path / "x.pgm", side * side + 30)  # whole, of zeros, on no disk space
    said, _, memory = _read_in_a_process_of_its_own(tmp_path / "x.pgm")
    assert "too large, more than 178 megapixels" in said[0]
    assert memory < 20e6


def test_the_bound_holds_where_a_program_has_lifted_pillows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pgm").write_bytes(b"P5 60000 60000 255\n")
    for limit in (None, 10**12):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(InputError, match=r"x\.pgm: 60000x60000 pixels are too large, more than 178 megapixels"):
            read_image(tmp_path / "x.pgm")


def test_postscript_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n%%EOF\n"
    )
    with pytest.raises(InputError, match=r"x\.png: PostScript is a drawing"):
        read_image(tmp_path / "x.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_picture_comes_through_a_named_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(9, 7)
    save_image(tmp_path / "file.png", pixels)
    content = (tmp_path / "file.png").read_bytes()
    os.mkfifo(tmp_path / "x.png")

    def read(written: bytes) -> npt.NDArray[np.uint8]:
        with ThreadPoolExecutor(1) as writer:
            writer.submit((tmp_path / "x.png").write_bytes, written)
            return read_image(tmp_path / "x.png")

    assert np.array_equal(read(content), pixels)
    for damaged in (b"", content[:50]):
        with pytest.raises(InputError, match=r"x\.png: .*damaged"):
            read(damaged)
    monkeypatch.setattr("bcpnet.media.images._MOST_PIPED", len(content) - 1)
    with pytest.raises(InputError, match=r"x\.png: more than 0 MiB came through the pipe"):
        read(content)


@pytest.mark.parametrize("name", ["x\0.png", "x" * 300 + ".png"])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        read_image(tmp_path / name)


def test_where_the_memory_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(noise(4, 4)).save(tmp_path / "x.png")

    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("bcpnet.media.images.np.empty", no_memory)
    with pytest.raises(InputError, match=r"x\.png: damaged or unsupported image \(not enough memory\)"):
        read_image(tmp_path / "x.png")
