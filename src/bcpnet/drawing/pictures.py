"""Pictures of class maps: colours, overlays, legends, contact sheets, errors, confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from bcpnet.drawing.clear_colours import Palette, clear_colours, palette_colours
from bcpnet.drawing.contours import draw_contours
from bcpnet.drawing.fonts import letters_of
from bcpnet.drawing.legend import draw_legend, with_legend
from bcpnet.drawing.overlay import Picture, colour_map, overlay
from bcpnet.drawing.text import GREY, INK, PAPER, Colour, font_of, shorten, text_upwards

__all__ = [
    "Colour", "Palette", "Picture", "clear_colours", "colour_map", "contact_sheet", "draw_confusion", "draw_errors",
    "overlay", "overlay_with_contours", "palette_colours", "with_legend",
]  # fmt: skip

_IGNORE = 255  # as in labels.py, which drawing does not need

_PALE = (228, 229, 232)
_WRONG = np.array((225, 45, 45), np.uint8)

# White to navy through the square root of the share, so that a confusion of 1 % can be seen.
_HEAT_STOPS = ((255, 112, 12), (255, 168, 40), (255, 214, 104))  # red, green, blue at 0, 1/2 and 1
_HEAT = np.stack([np.interp(np.arange(256), (0, 127.5, 255), stops) for stops in _HEAT_STOPS], 1).astype(np.uint8)


def overlay_with_contours(
    image: Picture,
    class_map: npt.NDArray[np.uint8],
    names: Sequence[str],
    colours: Sequence[Colour],
    opacity: float = 0.5,
    legend: bool = True,
) -> Picture:
    """The image under the colours of its classes, lines at their borders, and a legend in a corner; its size stays.

    Args:
        image: H x W x 3 uint8.
        class_map: H x W uint8; where it is 255 (ignore) the image stays as it is.
        names, colours: one each per class.
        opacity: of the colours, 0 to 1.
        legend: whether to draw it.

    Returns:
        H x W x 3 uint8.

    Raises:
        UsageError: an opacity outside 0..1.
        ValueError: image and class map differ in size.
    """
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = colours
    picture = overlay(image, class_map, palette, opacity)
    draw_contours(picture, class_map)
    if legend:
        draw_legend(picture, names, colours)
    return picture


def contact_sheet(tiles: Sequence[tuple[str, Picture]], columns: int = 3, tile_width: int = 480) -> Picture:
    """Pictures in rows, each under its title, all scaled to fit one tile size.

    Args:
        tiles: one or more (title, H x W x 3 uint8); sizes may differ.
        columns: tiles in a row.
        tile_width: in pixels.
    """
    columns = min(columns, len(tiles))
    font = font_of(max(12, round(tile_width / 28)))
    gap, title_height = round(font.size), round(1.5 * font.size)
    pictures = [_fitted(Image.fromarray(picture), (tile_width, 2 * tile_width)) for _, picture in tiles]
    row_starts = range(0, len(tiles), columns)
    row_heights = [max(picture.height for picture in pictures[start : start + columns]) for start in row_starts]
    width = columns * (tile_width + gap) + gap
    sheet = Image.new("RGB", (width, sum(row_heights) + len(row_heights) * (title_height + gap) + gap), PAPER)
    pen = ImageDraw.Draw(sheet)
    y = gap
    for start, row_height in zip(row_starts, row_heights, strict=True):
        for column in range(min(columns, len(tiles) - start)):
            x = gap + column * (tile_width + gap)
            title, picture = tiles[start + column][0], pictures[start + column]
            text, own = letters_of(title, font.size)
            pen.text((x, y + font.size / 2), shorten(text, own, tile_width), INK, own, anchor="lm")
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
    label_font = font_of(min(18, max(9, round(cell * 0.42) if cell > 20 else cell - 1)))
    cell_font, heading_font = font_of(cell * 0.33), font_of(20)
    written = [letters_of(name, label_font.size) for name in names]
    labels = [(shorten(text, own, 260), own) for text, own in written]
    label_width = math.ceil(max(own.getlength(label) for label, own in labels))
    margin, side = 24, cell * len(names)
    left, top = margin + 36 + label_width + 8, margin + 44
    sheet = Image.new("RGB", (max(left + side, 560) + 84 + margin, top + side + label_width + 8 + 36 + margin), PAPER)
    pen = ImageDraw.Draw(sheet)

    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(totals, 1)
    heat = _HEAT[np.rint(255 * np.sqrt(shares)).astype(np.intp)]
    heat[totals[:, 0] == 0] = _PALE
    cells = heat.repeat(cell, axis=0).repeat(cell, axis=1)
    if cell > 20:
        cells[cell - 1 :: cell] = cells[:, cell - 1 :: cell] = PAPER
    sheet.paste(Image.fromarray(cells), (left, top))
    pen.rectangle((left - 1, top - 1, left + side, top + side), outline=GREY)

    for index, (label, own) in enumerate(labels):
        middle = (index + 0.5) * cell
        pen.text((left - 8, top + middle), label, INK, own, anchor="rm")
        text_upwards(sheet, (left + middle, top + side + 8), label, own)
    if cell >= 28:
        for row, column in np.argwhere(shares >= 0.005):
            colour = PAPER if shares[row, column] > 0.3 else INK
            centre = (left + (column + 0.5) * cell - 0.5, top + (row + 0.5) * cell - 0.5)
            pen.text(centre, f"{100 * shares[row, column]:.0f}", colour, cell_font, anchor="mm")

    pen.text((left, margin + 10), "Where the pixels of each class go, in %", INK, heading_font, anchor="lm")
    pen.text((left + side / 2, sheet.height - margin - 8), "prediction", GREY, heading_font, anchor="mm")
    text_upwards(sheet, (margin + 8, top + side / 2), "ground truth", heading_font, GREY, centred=True)
    _heat_scale(sheet, left + side + 20, top, min(side, 320))
    return np.array(sheet)


def _fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    scale = min(size[0] / picture.width, size[1] / picture.height)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _heat_scale(sheet: Image.Image, x: int, y: int, height: int) -> None:
    ramp = _HEAT[np.linspace(255, 0, height).astype(np.intp)]
    sheet.paste(Image.fromarray(np.repeat(ramp[:, None], 16, axis=1)), (x, y))
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((x - 1, y - 1, x + 16, y + height), outline=GREY)
    font = font_of(13)
    for percent in (0, 1, 5, 10, 25, 50, 75, 100):
        pen.text((x + 22, y + (1 - math.sqrt(percent / 100)) * (height - 1)), f"{percent}", GREY, font, anchor="lm")
