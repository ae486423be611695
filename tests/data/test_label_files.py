"""Reading images and label files: what is taken, and what is refused in one line that names the file."""

from __future__ import annotations

import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from fake_data import save
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bcpnet.data.files import ColourLabels, FileDataset, IdLabels, Item
from bcpnet.errors import InputError
from bcpnet.labels import CAMVID, IGNORE
from bcpnet.media.images import read_image

IDS = {0: 0, 1: 1, 2: 2, 4: 3, 255: IGNORE}


def test_palette_and_binary_labels_are_ids(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 2, 4, 255]], np.uint8)
    image = Image.fromarray(ids)
    image.putpalette(bytes(range(256)) * 3)
    assert image.mode == "P"
    image.save(tmp_path / "palette.png")
    assert IdLabels(IDS)(tmp_path / "palette.png").tolist() == [[0, 1, 2, 3, 255]]
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "binary.png")
    assert IdLabels(IDS)(tmp_path / "binary.png").tolist() == [[1, 0]]


def test_colours_in_a_palette_are_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "label.png")
    labels = ColourLabels({(40, 50, 60): 7, (10, 20, 30): IGNORE})
    assert labels(tmp_path / "label.png").tolist() == [[255, 7]]


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=40, unique=True), st.randoms())
def test_any_colour_table_is_inverted(tmp_path_factory: pytest.TempPathFactory, colours, random) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("colours") / "label.png"
    train_ids = np.array([random.randrange(len(colours)) for _ in range(30)], np.uint8).reshape(5, 6)
    save(np.array(colours, np.uint8)[train_ids], path)
    labels = ColourLabels({colour: index for index, colour in enumerate(colours)})
    np.testing.assert_array_equal(labels(path), train_ids)


def test_readers_can_be_sent_to_worker_processes(tmp_path: Path) -> None:
    path = save(np.array([[4]], np.uint8), tmp_path / "label.png")
    assert pickle.loads(pickle.dumps(IdLabels(IDS)))(path).tolist() == [[3]]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.zeros((4, 6, 3), np.uint8), "label is RGB, need one 8-bit id a pixel"),
        (np.zeros((4, 6, 4), np.uint8), "label is RGBA, need one 8-bit id"),
        (np.zeros((4, 6), np.uint16), "label is I;16, need one 8-bit id"),
        (np.full((4, 6), 3, np.uint8), r"label id 3 is out of range, expected 0\.\.2, 4, 255"),
        (np.zeros((6, 4), np.uint8), r"label is 4x6 \(width x height\), its image .*image\.png is 6x4"),
    ],
)
def test_wrong_labels(tmp_path: Path, label: np.ndarray, message: str) -> None:
    image = save(np.zeros((4, 6, 3), np.uint8), tmp_path / "image.png")
    path = save(label, tmp_path / "label.png")
    with pytest.raises(InputError, match=message) as caught:
        FileDataset(CAMVID, [Item("image", image, path)], IdLabels(IDS))[0]
    assert str(caught.value).startswith(f"{path}: ")


def test_a_jpeg_is_no_label(tmp_path: Path) -> None:
    path = save(np.zeros((8, 8), np.uint8), tmp_path / "label.jpg")
    with pytest.raises(InputError, match=r"label\.jpg: label is a JPEG"):
        IdLabels(IDS)(path)


def test_greyscale_is_no_colour_label(tmp_path: Path) -> None:
    path = save(np.zeros((8, 8), np.uint8), tmp_path / "label.png")
    with pytest.raises(InputError, match="label is L, need the colours of the classes"):
        ColourLabels({(0, 0, 0): 0})(path)


def test_unreadable_files(tmp_path: Path) -> None:
    whole = save(np.random.default_rng(0).integers(0, 3, (64, 64), np.uint8), tmp_path / "whole.png").read_bytes()
    contents = {
        "truncated.png": whole[: len(whole) // 2],
        "corrupt.png": whole[:60] + bytes([whole[60] ^ 255]) + whole[61:],
        "text.png": b"no image",
        "empty.png": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in [*contents, "missing.png"]:
        for read in (IdLabels(IDS), ColourLabels({(0, 0, 0): 0})):
            with pytest.raises(InputError, match=name) as caught:
                read(tmp_path / name)
            assert "\n" not in str(caught.value)
            assert "object at" not in str(caught.value)


def _grey_png(depth: int, row: bytes) -> bytes:
    """A greyscale PNG of one row of four pixels (w3.org/TR/png-3)."""
    header = struct.pack(">IIBBBBB", 4, 1, depth, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


@pytest.mark.parametrize(("depth", "row"), [(2, b"\x1b"), (4, b"\x01\x23")])
def test_ids_that_a_decoder_scales_are_refused(tmp_path: Path, depth: int, row: bytes) -> None:
    (tmp_path / "label.png").write_bytes(_grey_png(depth, row))
    with pytest.raises(InputError, match=r"label\.png: label has 2 or 4 bits a pixel"):
        IdLabels(dict.fromkeys(range(256), 0))(tmp_path / "label.png")
    (tmp_path / "label.png").write_bytes(_grey_png(8, bytes([0, 1, 2, 4])))
    assert IdLabels(IDS)(tmp_path / "label.png").tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("image_format", ["JPEG", "MPO", "JPEG2000"])
def test_lossy_files_are_no_ids(tmp_path: Path, image_format: str) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "label.png", image_format)
    with pytest.raises(InputError, match=r"label\.png: label is a \w+, which changes ids"):
        IdLabels(IDS)(tmp_path / "label.png")


def test_a_tiff_with_jpeg_inside_is_no_label(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((16, 16), np.uint8))
    picture.save(tmp_path / "label.tif", compression="jpeg")
    with pytest.raises(InputError, match=r"label\.tif: label is a TIFF with lossy compression"):
        IdLabels(IDS)(tmp_path / "label.tif")
    picture.save(tmp_path / "label.tif", compression="tiff_lzw")
    assert not IdLabels(IDS)(tmp_path / "label.tif").any()


@pytest.mark.parametrize("pixels", [b"P5\n4 1\n%d\n\0\1\2\4", b"P2\n4 1\n%d\n0 1 2 4\n"])
def test_a_pgm_is_read_as_it_is_or_refused(tmp_path: Path, pixels: bytes) -> None:
    path = tmp_path / "label.pgm"
    path.write_bytes(pixels % 255)
    assert IdLabels(IDS)(path).tolist() == [[0, 1, 2, 3]]
    path.write_bytes(pixels % 127)  # Pillow doubles the ids, and 4 is one, too
    with pytest.raises(InputError, match=r"label\.pgm: label is a PGM whose greatest value is not 255"):
        IdLabels(IDS)(path)


@pytest.mark.parametrize("orientation", [*range(10), 65535])
def test_image_and_label_are_turned_alike(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    ids = np.arange(15, dtype=np.uint8).reshape(3, 5)
    grey, colour = Image.fromarray(ids), Image.fromarray(np.repeat(ids[:, :, None], 3, axis=2))
    colour.save(tmp_path / "image.png", exif=exif)
    expected = read_image(tmp_path / "image.png")[:, :, 0]
    grey.save(tmp_path / "label.png", exif=exif)
    colour.save(tmp_path / "colours.tif", exif=exif)
    every_id = {value: value for value in range(256)}
    read = IdLabels(every_id)(tmp_path / "label.png")
    np.testing.assert_array_equal(read, expected)
    assert read.flags.c_contiguous
    colours = ColourLabels({(value, value, value): value for value in every_id})
    np.testing.assert_array_equal(colours(tmp_path / "colours.tif"), expected)


def test_large_labels_are_read_in_strips_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcpnet.media.images._STRIP_PIXELS", 40)
    ids = np.random.default_rng(0).choice(np.array([0, 1, 2, 4, 255], np.uint8), (13, 9))
    picture = Image.fromarray(ids)
    path = save(ids, tmp_path / "grey.png")
    np.testing.assert_array_equal(IdLabels({value: value for value in range(256)})(path), ids)
    palette = np.random.default_rng(1).permutation(256).astype(np.uint8)
    picture.putpalette(palette.repeat(3).tobytes())
    picture.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(IdLabels({value: value for value in range(256)})(tmp_path / "palette.png"), ids)
    colours = ColourLabels({(int(grey),) * 3: value for value, grey in enumerate(palette)})
    np.testing.assert_array_equal(colours(tmp_path / "palette.png"), ids)
    ids[12, 8] = 3
    with pytest.raises(InputError, match=r"label id 3 .*out of range"):
        IdLabels(IDS)(save(ids, tmp_path / "grey.png"))
