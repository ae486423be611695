"""Letters in pictures."""

from __future__ import annotations

import math
from typing import cast

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

_MOST_LETTERS = 1000  # on a line: more than a picture has room for

PAPER, INK, GREY = (250, 250, 250), (32, 34, 38), (110, 114, 120)


def font_of(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own font at `size` pixels."""
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


def shorten(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, with an ellipsis for its end where it would be wider than `width` pixels."""
    text = text[:_MOST_LETTERS]
    if font.getlength(text) <= width:
        return text
    kept, too_many = 0, len(text)
    while too_many - kept > 1:
        middle = (kept + too_many) // 2
        if font.getlength(text[:middle] + "…") <= width:
            kept = middle
        else:
            too_many = middle
    return text[:kept].rstrip() + "…"


def text_upwards(
    sheet: Image.Image,
    at: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont,
    colour: Colour = INK,
    centred: bool = False,
) -> None:
    """Writes text to be read from below: it ends at `at`, or has its middle there."""
    ascent, descent = font.getmetrics()
    mask = Image.new("L", (math.ceil(font.getlength(text)) + 1, ascent + descent))
    ImageDraw.Draw(mask).text((0, mask.height / 2), text, 255, font, anchor="lm")
    mask = mask.transpose(Image.Transpose.ROTATE_90)
    x, y = round(at[0] - mask.width / 2), round(at[1] - (mask.height / 2 if centred else 0))
    sheet.paste(colour, (x, y), mask)
