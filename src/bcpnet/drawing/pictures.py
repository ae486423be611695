"""Pictures of class maps: colours, overlays, legends, contact sheets, errors, confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from bcpnet.drawing.overlay import Picture, colour_map, overlay

__all__ = [
    "Colour", "Picture", "colour_map", "contact_sheet", "draw_confusion", "draw_errors", "overlay", "with_legend"
]  # fmt: skip

Colour = tuple[int, int, int]
_IGNORE = 255  # as in labels.py, which drawing does not need
_Font = ImageFont.FreeTypeFont

_PAPER, _INK, _GREY, _PALE = (250, 250, 250), (32, 34, 38), (110, 114, 120), (228, 229, 232)
_WRONG = np.array((225, 45, 45), np.uint8)
_LEAST_LEGEND_WIDTH = 320  # pixels; a smaller picture is set in the middle above it
_ROWS_OF_ANY_LEGEND = 10  # a longer legend is cut where it would be higher than half the picture

# White to navy through the square root of the share, so that a confusion of 1 % can be seen.
_HEAT_STOPS = ((255, 112, 12), (255, 168, 40), (255, 214, 104))  # red, green, blue at 0, 1/2 and 1
_HEAT = np.stack([np.interp(np.arange(256), (0, 127.5, 255), stops) for stops in _HEAT_STOPS], 1).astype(np.uint8)


def with_legend(
    image: Picture, names: Sequence[str], colours: Sequence[Colour], shares: Sequence[float] | None = None
) -> Picture:
    """The picture above a legend: a swatch and a name for each class, in letters that fit the picture's size.

    The result has even height, as video wants it, and the same size for the same image size and classes. Where the
    legend would be higher than half the picture (and ten rows), its last entry counts the classes left out. It is
    kept: the frames of a video cost one copy each (with `shares` only while the rounded percentages stay).

    Args:
        image: H x W x 3 uint8.
        names, colours: one each per class.
        shares: fraction of the picture per class, 0..1, to print as percentages.

    Returns:
        uint8, as wide as the image, at least 320 pixels.
    """
    height, width, _ = image.shape
    percents = None if shares is None else tuple(round(100 * share) for share in shares)
    strip = _legend(tuple(names), tuple(colours), percents, (height, width))
    missing = strip.shape[1] - width
    if missing:
        canvas = np.full((height, strip.shape[1], 3), _PAPER, np.uint8)
        canvas[:, missing // 2 : missing // 2 + width] = image
        image = canvas
    return np.concatenate([image, strip])


def contact_sheet(tiles: Sequence[tuple[str, Picture]], columns: int = 3, tile_width: int = 480) -> Picture:
    """Pictures in rows, each under its title, all scaled to fit one tile size.

    Args:
        tiles: one or more (title, H x W x 3 uint8); sizes may differ.
        columns: tiles in a row.
        tile_width: in pixels.
    """
    columns = min(columns, len(tiles))
    font = _font(max(12, round(tile_width / 28)))
    gap, title_height = round(font.size), round(1.5 * font.size)
    pictures = [_fitted(Image.fromarray(picture), (tile_width, 2 * tile_width)) for _, picture in tiles]
    row_starts = range(0, len(tiles), columns)
    row_heights = [max(picture.height for picture in pictures[start : start + columns]) for start in row_starts]
    width = columns * (tile_width + gap) + gap
    sheet = Image.new("RGB", (width, sum(row_heights) + len(row_heights) * (title_height + gap) + gap), _PAPER)
    pen = ImageDraw.Draw(sheet)
    y = gap
    for start, row_height in zip(row_starts, row_heights, strict=True):
        for column in range(min(columns, len(tiles) - start)):
            x = gap + column * (tile_width + gap)
            title, picture = tiles[start + column][0], pictures[start + column]
            pen.text((x, y + font.size / 2), _shorten(title, font, tile_width), _INK, font, anchor="lm")
            sheet.paste(picture, (x + (tile_width - picture.width) // 2, y + title_height))
        y += title_height + row_height + gap
    return np.array(sheet)


def draw_errors(
    image: Picture,
    label: npt.NDArray[np.uint8],
    class_map: npt.NDArray[np.uint8],
    palette: npt.NDArray[np.uint8],
    tile_width: int = 480,
) -> Picture:
    """Image, label, prediction and errors on one sheet; errors are red on the faded image.

    Args:
        image: H x W x 3 uint8.
        label: h x w uint8; where it is 255 (ignore) nothing is wrong.
        class_map: h x w uint8, the prediction.
        palette: 256 x 3 uint8.
        tile_width: of each of the four, in pixels.
    """
    height, width = label.shape
    grey = np.asarray(Image.fromarray(image).convert("L").resize((width, height)))
    faded = (90 + 0.6 * grey).astype(np.uint8)[..., None].repeat(3, axis=2)
    errors = np.where(((class_map != label) & (label != _IGNORE))[..., None], _WRONG, faded)
    tiles = [
        ("image", image),
        ("label", colour_map(label, palette)),
        ("prediction", colour_map(class_map, palette)),
        ("errors", errors),
    ]
    return contact_sheet(tiles, 2, tile_width)


def draw_confusion(matrix: npt.NDArray[np.int64], names: Sequence[str]) -> Picture:
    """A confusion matrix as a heat map: of the pixels of each true class (row), the share predicted as each class.

    Up to some 30 classes the cells hold percentages (under 0.5 stays empty). A class without pixels is a grey row.

    Args:
        matrix: K x K int64 pixel counts, rows ground truth, columns prediction.
        names: K class names.
    """
    cell = min(60, max(10, 900 // len(names)))
    label_font = _font(min(18, max(9, round(cell * 0.42) if cell > 20 else cell - 1)))
    cell_font, heading_font = _font(cell * 0.33), _font(20)
    labels = [_shorten(name, label_font, 260) for name in names]
    label_width = math.ceil(max(label_font.getlength(label) for label in labels))
    margin, side = 24, cell * len(names)
    left, top = margin + 36 + label_width + 8, margin + 44
    sheet = Image.new("RGB", (max(left + side, 560) + 84 + margin, top + side + label_width + 8 + 36 + margin), _PAPER)
    pen = ImageDraw.Draw(sheet)

    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(totals, 1)
    heat = _HEAT[np.rint(255 * np.sqrt(shares)).astype(np.intp)]
    heat[totals[:, 0] == 0] = _PALE
    cells = heat.repeat(cell, axis=0).repeat(cell, axis=1)
    if cell > 20:
        cells[cell - 1 :: cell] = cells[:, cell - 1 :: cell] = _PAPER
    sheet.paste(Image.fromarray(cells), (left, top))
    pen.rectangle((left - 1, top - 1, left + side, top + side), outline=_GREY)

    for index, label in enumerate(labels):
        middle = (index + 0.5) * cell
        pen.text((left - 8, top + middle), label, _INK, label_font, anchor="rm")
        _text_upwards(sheet, (left + middle, top + side + 8), label, label_font)
    if cell >= 28:
        for row, column in np.argwhere(shares >= 0.005):
            colour = _PAPER if shares[row, column] > 0.3 else _INK
            centre = (left + (column + 0.5) * cell - 0.5, top + (row + 0.5) * cell - 0.5)
            pen.text(centre, f"{100 * shares[row, column]:.0f}", colour, cell_font, anchor="mm")

    pen.text((left, margin + 10), "Where the pixels of each class go, in %", _INK, heading_font, anchor="lm")
    pen.text((left + side / 2, sheet.height - margin - 8), "prediction", _GREY, heading_font, anchor="mm")
    _text_upwards(sheet, (margin + 8, top + side / 2), "ground truth", heading_font, _GREY, centred=True)
    _heat_scale(sheet, left + side + 20, top, min(side, 320))
    return np.array(sheet)


def _fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    scale = min(size[0] / picture.width, size[1] / picture.height)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


@lru_cache(maxsize=16)
def _legend(
    names: tuple[str, ...], colours: tuple[Colour, ...], percents: tuple[int, ...] | None, image_hw: tuple[int, int]
) -> Picture:
    height, width = image_hw[0], max(image_hw[1], _LEAST_LEGEND_WIDTH)
    font = _font(max(12, round(math.sqrt(height * width) / 55)))
    em, margin, swatch, line = font.size, round(0.9 * font.size), round(0.9 * font.size), round(1.6 * font.size)
    number_width = font.getlength(" 100 %") if percents else 0
    widest = min(max(font.getlength(name) for name in names), width - 2 * margin - 1.4 * swatch - number_width)
    pitch = 1.4 * swatch + widest + number_width + 1.2 * em
    columns = max(1, int((width - 2 * margin + 1.2 * em) // pitch))
    rows = min(math.ceil(len(names) / columns), max(_ROWS_OF_ANY_LEGEND, height // 2 // line))
    shown = min(len(names), rows * columns)
    if shown < len(names):
        shown -= 1
    else:  # as many in each row
        columns = math.ceil(len(names) / rows)
    pitch = max(pitch, (width - 2 * margin) / columns)

    strip_height = rows * line + margin
    strip = Image.new("RGB", (width, strip_height + (height + strip_height) % 2), _PAPER)
    pen = ImageDraw.Draw(strip)
    for index in range(shown + (shown < len(names))):
        x = margin + round(index % columns * pitch)
        y = margin // 2 + index // columns * line + line / 2
        if index == shown:
            pen.text((x, y), f"+ {len(names) - shown} more", _GREY, font, anchor="lm")
            break
        top = round(y - swatch / 2)
        pen.rectangle((x, top, x + swatch, top + swatch), colours[index], _GREY)
        x += round(1.4 * swatch)
        name = _shorten(names[index], font, widest)
        pen.text((x, y), name, _INK, font, anchor="lm")
        if percents:
            pen.text((x + font.getlength(name), y), f" {percents[index]} %", _GREY, font, anchor="lm")
    return np.array(strip)


def _font(size: float) -> _Font:
    return cast(_Font, ImageFont.load_default(size))


def _shorten(text: str, font: _Font, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _text_upwards(
    sheet: Image.Image, at: tuple[float, float], text: str, font: _Font, colour: Colour = _INK, centred: bool = False
) -> None:
    # Read from below: the text ends at `at`, or has its middle there.
    ascent, descent = font.getmetrics()
    mask = Image.new("L", (math.ceil(font.getlength(text)) + 1, ascent + descent))
    ImageDraw.Draw(mask).text((0, mask.height / 2), text, 255, font, anchor="lm")
    mask = mask.transpose(Image.Transpose.ROTATE_90)
    x, y = round(at[0] - mask.width / 2), round(at[1] - (mask.height / 2 if centred else 0))
    sheet.paste(colour, (x, y), mask)


def _heat_scale(sheet: Image.Image, x: int, y: int, height: int) -> None:
    ramp = _HEAT[np.linspace(255, 0, height).astype(np.intp)]
    sheet.paste(Image.fromarray(np.repeat(ramp[:, None], 16, axis=1)), (x, y))
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((x - 1, y - 1, x + 16, y + height), outline=_GREY)
    font = _font(13)
    for percent in (0, 1, 5, 10, 25, 50, 75, 100):
        pen.text((x + 22, y + (1 - math.sqrt(percent / 100)) * (height - 1)), f"{percent}", _GREY, font, anchor="lm")
