"""Legends: a swatch and a name for each class, below a picture or in a corner of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from bcpnet.drawing.fonts import letters_of
from bcpnet.drawing.text import GREY, INK, PAPER, Colour, font_of, shorten

Picture = npt.NDArray[np.uint8]  # H x W x 3, RGB

_LEAST_WIDTH = 320  # pixels; a smaller picture is set in the middle above its legend
_ROWS_OF_ANY_LEGEND = 10  # a longer legend is cut where it would be higher than half the picture
_MOST_OF_HEIGHT, _MOST_OF_WIDTH = 0.4, 0.9  # of a picture, for a legend inside


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
        canvas = np.full((height, strip.shape[1], 3), PAPER, np.uint8)
        canvas[:, missing // 2 : missing // 2 + width] = image
        image = canvas
    return np.concatenate([image, strip])


def draw_legend(picture: Picture, names: Sequence[str], colours: Sequence[Colour]) -> None:
    """Draws a legend into the lower left corner of `picture` itself, whose size stays.

    Its letters fit the picture's size. Where not all names find room, its last entry counts those left out; in a
    picture too small for any name there is none. It is kept: the frames of a video cost one copy of it each.

    Args:
        picture: H x W x 3 uint8.
        names, colours: one each per class.
    """
    box = _box(tuple(names), tuple(colours), picture.shape[:2])
    if box is not None:
        height, width, _ = box.shape
        picture[picture.shape[0] - height :, :width] = box


@lru_cache(maxsize=16)
def _legend(
    names: tuple[str, ...], colours: tuple[Colour, ...], percents: tuple[int, ...] | None, image_hw: tuple[int, int]
) -> Picture:
    height, width = image_hw[0], max(image_hw[1], _LEAST_WIDTH)
    font = font_of(max(12, round(math.sqrt(height * width) / 55)))
    em, margin, swatch, line = font.size, round(0.9 * font.size), round(0.9 * font.size), round(1.6 * font.size)
    number_width = font.getlength(" 100 %") if percents else 0
    written = [letters_of(name, em) for name in names]
    widest = min(max(own.getlength(text) for text, own in written), width - 2 * margin - 1.4 * swatch - number_width)
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
    strip = Image.new("RGB", (width, strip_height + (height + strip_height) % 2), PAPER)
    pen = ImageDraw.Draw(strip)
    for index in range(shown + (shown < len(names))):
        x = margin + round(index % columns * pitch)
        y = margin // 2 + index // columns * line + line / 2
        if index == shown:
            pen.text((x, y), f"+ {len(names) - shown} more", GREY, font, anchor="lm")
            break
        _swatch(pen, x, y, swatch, colours[index])
        x += round(1.4 * swatch)
        text, own = written[index]
        name = shorten(text, own, widest)
        pen.text((x, y), name, INK, own, anchor="lm")
        if percents:
            pen.text((x + own.getlength(name), y), f" {percents[index]} %", GREY, font, anchor="lm")
    return np.array(strip)


@lru_cache(maxsize=16)
def _box(names: tuple[str, ...], colours: tuple[Colour, ...], image_hw: tuple[int, ...]) -> Picture | None:
    height, width = image_hw
    font = font_of(max(10, round(math.sqrt(height * width) / 60)))
    em = font.size
    written = [letters_of(name, em) for name in names]
    margin, line = round(0.6 * em), round(1.4 * em)
    widest = min(max(own.getlength(text) for text, own in written), 12 * em)
    pitch = math.ceil(1.4 * em + widest + em)
    most_rows = int((_MOST_OF_HEIGHT * height - margin) // line)
    most_columns = int((_MOST_OF_WIDTH * width - margin) // pitch)
    if min(most_rows, most_columns) < 1 or most_rows * most_columns < min(2, len(names)):
        return None
    columns = min(most_columns, math.ceil(len(names) / most_rows))
    rows = min(most_rows, math.ceil(len(names) / columns))
    shown = len(names) if len(names) <= rows * columns else rows * columns - 1

    box = Image.new("RGB", (margin + columns * pitch, margin + rows * line), PAPER)
    pen = ImageDraw.Draw(box)
    for index in range(shown + (shown < len(names))):
        x, y = margin + index // rows * pitch, margin // 2 + (index % rows + 0.5) * line
        if index == shown:
            pen.text((x, y), f"+ {len(names) - shown} more", GREY, font, anchor="lm")
            break
        _swatch(pen, x, y, round(0.9 * em), colours[index])
        text, own = written[index]
        pen.text((x + round(1.4 * em), y), shorten(text, own, widest), INK, own, anchor="lm")
    return np.array(box)


def _swatch(pen: ImageDraw.ImageDraw, x: int, y: float, side: int, colour: Colour) -> None:
    top = round(y - side / 2)
    pen.rectangle((x, top, x + side, top + side), colour, GREY)
