"""Any picture in as RGB; pictures and class maps out, whole or absent; what is wrong is said in one line."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_files import RNG, no_file_above, noise
from PIL import Image

from bcpnet import native
from bcpnet.errors import InputError
from bcpnet.media.images import read_image, save_class_map, save_image

PALETTE = RNG.integers(0, 256, (256, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".webp"])
def test_lossless_formats_come_back_exactly(tmp_path: Path, suffix: str) -> None:
    image = noise(7, 5)
    Image.fromarray(image).save(tmp_path / f"x{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    read = read_image(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(read, image)
    assert read.dtype == np.uint8
    assert read.flags.writeable


def test_one_pixel(tmp_path: Path) -> None:
    save_image(tmp_path / "x.png", np.array([[[1, 2, 3]]], np.uint8))
    assert read_image(tmp_path / "x.png").tolist() == [[[1, 2, 3]]]


def test_other_modes_become_rgb(tmp_path: Path) -> None:
    colour, grey = noise(6, 4), noise(6, 4)[:, :, 0]
    alpha = Image.fromarray(noise(6, 4)[:, :, 0])
    translucent = Image.fromarray(colour)
    translucent.putalpha(alpha)
    grey_alpha = Image.fromarray(grey)
    grey_alpha.putalpha(alpha)
    few_colours = PALETTE[grey % 5]
    indexed = Image.fromarray(grey % 5)
    indexed.putpalette(PALETTE.tobytes())
    repeated = np.repeat(grey[:, :, None], 3, axis=2)
    cases = {
        "grey": (Image.fromarray(grey), repeated),
        "grey_alpha": (grey_alpha, repeated),
        "rgba": (translucent, colour),
        "palette": (indexed, few_colours),
        "bits": (Image.fromarray(grey > 127), np.where(repeated > 127, 255, 0)),
    }
    for name, (picture, expected) in cases.items():
        picture.save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.png"), expected, err_msg=name)


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "x.jpg", quality=100)
    red = read_image(tmp_path / "x.jpg")[4, 4].astype(int)
    assert np.abs(red - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"x{suffix}")
    expected = [round(value / 257) for value in values[0].tolist()]
    assert read_image(tmp_path / f"x{suffix}")[0].tolist() == [[value] * 3 for value in expected]


# What a viewer must do to the stored picture, by EXIF's definition of each orientation: (row 0, column 0) of what is
# stored is the (top, left), (top, right), (bottom, right), (bottom, left), (left, top), ... of the scene.
UPRIGHT: dict[int, Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    stored = noise(3, 5)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), UPRIGHT[orientation](stored))


def png(height: int, width: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(noise(height, width)).save(data, "PNG")
    return data.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    whole = bytearray(png(4, 4))
    whole[16:24] = struct.pack(">II", width, height)
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    return bytes(whole)


BAD_IMAGES = {
    "empty": (b"", "empty"),
    "text": (b"not a picture\n", "not an image"),
    "truncated": (png(40, 40)[:-900], "damaged"),
    "only_a_signature": (png(4, 4)[:8], "not an image"),
    "huge": (png_claiming(60_000, 60_000), "too large"),
    "float": (b"Pf\n1 1\n-1.0\n" + struct.pack("<f", 0.5), "floating-point"),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_bad_images_are_one_line_that_names_them(tmp_path: Path, kind: str) -> None:
    data, reason = BAD_IMAGES[kind]
    path = tmp_path / f"{kind}.png"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_image_and_folder_in_its_place(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.png", "No such file"), (tmp_path, "directory")):
        with pytest.raises(InputError, match=f"{path}: cannot read: .*{reason}"):
            read_image(path)


@pytest.mark.filterwarnings("ignore")  # Pillow's own remarks on such files
@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM"])
def test_damaged_bytes_never_escape_as_anything_else(tmp_path: Path, image_format: str) -> None:
    chance = random.Random(image_format)
    data = io.BytesIO()
    Image.fromarray(noise(12, 17)).save(data, image_format)
    for _ in range(60):
        damaged = bytearray(data.getvalue())
        for _ in range(chance.choice([1, 3, 10])):
            damaged[chance.randrange(min(len(damaged), 200))] = chance.randrange(256)
        (tmp_path / "x").write_bytes(damaged[: chance.choice([len(damaged), chance.randrange(len(damaged))])])
        try:
            shape = read_image(tmp_path / "x").shape
        except InputError as error:
            message = str(error)
        else:
            message = f"{shape}"
        assert "\n" not in message


@given(
    rows=st.lists(
        st.lists(st.tuples(st.integers(0, 255), st.integers(1, 800)), min_size=1, max_size=5), min_size=1, max_size=4
    ),
    cut=st.integers(0, 3000),
)
@pytest.mark.parametrize("compiled", [True, False])
def test_class_maps_of_any_runs_come_back(
    rows: list[list[tuple[int, int]]], cut: int, compiled: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if compiled and native.library() is None:
        pytest.skip("the C library was not compiled here (no C compiler)")
    lines = [np.repeat(*np.array(row).T).astype(np.uint8) for row in rows]
    width = max(1, min(cut, *map(len, lines)))
    class_map = np.stack([line[:width] for line in lines])
    path = tmp_path_factory.getbasetemp() / "runs.png"
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(native, "library", lambda: None)
        save_class_map(path, class_map, PALETTE)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.array(picture), class_map)
        np.testing.assert_array_equal(np.array(picture.convert("RGB")), PALETTE[class_map])


def test_class_map_keeps_values_and_palette(tmp_path: Path) -> None:
    class_map = RNG.integers(0, 256, (33, 21), dtype=np.uint8)
    save_class_map(tmp_path / "new" / "x.png", class_map, PALETTE)
    with Image.open(tmp_path / "new" / "x.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "P")
        np.testing.assert_array_equal(np.array(picture), class_map)
        np.testing.assert_array_equal(np.array(picture.convert("RGB")), PALETTE[class_map])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.png"]


def decoded(data: bytes) -> tuple[tuple[int, ...], npt.NDArray[np.uint8]]:
    """The header's bit depth and colour type, and the pixels as they are stored, of a PNG with a byte
    a pixel (w3.org/TR/png-3): what a reader gets that knows nothing of palettes."""
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        content, check = data[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        assert struct.unpack(">I", check) == (zlib.crc32(kind + content),)
        chunks[kind] = chunks.get(kind, b"") + content
        at += 12 + length
    width, height, depth, colour_type, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert (b"PLTE" in chunks) == (colour_type == 3)
    values = np.zeros((height + 1, width + 1), int)  # a row above and a column to the left of zeros
    for y, (kind, *row) in enumerate(rows.tolist()):
        for x, value in enumerate(row):
            left, above, corner = values[y + 1, x], values[y, x + 1], values[y, x]
            nearest = min((left, above, corner), key=lambda near: abs(int(left + above - corner - near)))
            values[y + 1, x + 1] = (value + (0, left, above, (left + above) // 2, nearest)[kind]) % 256
    return (depth, colour_type), values[1:, 1:].astype(np.uint8)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("coloured", [True, False])
def test_grey_and_index_pngs_hold_the_class_ids(
    compiled: bool, coloured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_map = RNG.integers(0, 256, (33, 21), dtype=np.uint8).repeat(3, axis=1)
    if not compiled:
        monkeypatch.setattr(native, "library", lambda: None)
    save_class_map(tmp_path / "x.png", class_map, PALETTE if coloured else None)
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.mode == ("P" if coloured else "L")
        np.testing.assert_array_equal(np.array(picture), class_map)
        shown = PALETTE[class_map] if coloured else class_map[..., None].repeat(3, axis=2)
        np.testing.assert_array_equal(np.array(picture.convert("RGB")), shown)
    form, values = decoded((tmp_path / "x.png").read_bytes())
    assert form == (8, 3 if coloured else 0)
    np.testing.assert_array_equal(values, class_map)


def test_full_disk_leaves_no_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.png: cannot write"), no_file_above(1000):
        save_image(tmp_path / "x.png", noise(60, 60))
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"suffix '\.picture'"):
        save_image(tmp_path / "x.picture", noise(2, 2))
