"""Houses of `streets`: fronts, flanks and roofs, each drawn once per variant."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from bcpnet.data.street_scene.scene import Texture
from bcpnet.data.street_scene.surfaces import Colour, clouded, generator, graded, painted

PX_PER_M = 32
STOREY_M = 3.0

# Walls as CamVid's Cambridge has them: yellow and red brick, stone, render, concrete.
_WALLS: tuple[Colour, ...] = (
    (150, 134, 104), (132, 88, 70), (158, 150, 134), (206, 202, 192), (120, 110, 96), (140, 140, 142), (172, 156, 120),
)  # fmt: skip
_PAINT: tuple[Colour, ...] = ((34, 48, 78), (90, 26, 26), (28, 60, 44), (36, 36, 38), (200, 196, 188), (70, 40, 30))


def _window(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: tuple[float, float, float, float]) -> None:
    """A sash window in its frame, with sill and a paler reflection."""
    left, top, right, bottom = box
    frame = (214, 212, 206) if rng.random() < 0.8 else (70, 62, 56)
    draw.rectangle((left - 3, top - 5, right + 3, top - 1), (164, 156, 142))
    draw.rectangle((left - 4, bottom, right + 4, bottom + 3), (176, 172, 164))
    draw.rectangle(box, frame)
    glass = int(rng.uniform(18, 62))
    draw.rectangle((left + 2, top + 2, right - 2, bottom - 2), (glass, glass + 4, glass + 10))
    if rng.random() < 0.5:  # sky or curtain in a part of it
        level = glass + int(rng.uniform(20, 90))
        draw.rectangle((left + 2, top + 2, right - 2, top + (bottom - top) * rng.uniform(0.2, 0.6)), (level,) * 3)
    draw.line(((left + right) / 2, top, (left + right) / 2, bottom), frame, 1)
    draw.line((left, (top + bottom) / 2, right, (top + bottom) / 2), frame, 2)


def _wall(rng: np.random.Generator, colour: Colour, size_hw: tuple[int, int]) -> Image.Image:
    """A weathered wall, its courses showing if it is brick or stone."""
    height, width = size_hw
    relief = 7 * clouded(rng, size_hw, (80, 24)) + rng.normal(0, 3, size_hw).astype(np.float32)
    if min(colour) < 180:
        relief += (
            (rng.normal(0, 4, ((height + 2) // 3, (width + 7) // 8)).astype(np.float32))
            .repeat(3, 0)
            .repeat(8, 1)[:height, :width]
        )
        relief[::3] += 5
    relief += np.linspace(6, -10, height, dtype=np.float32)[:, None]
    return painted(colour, relief)


def front_size(variant: int) -> tuple[float, int]:
    """Width (metres) and number of storeys of the house that `front(variant)` shows."""
    rng = generator(4, variant)
    return float(rng.uniform(5, 11)), int(rng.choice([2, 2, 3, 3, 4]))


@lru_cache(None)
def front(variant: int) -> Texture:
    """The street side of a house: windows in rows over a door, a shop or a gate."""
    width_m, storeys = front_size(variant)
    rng = generator(5, variant)
    width, height = int(width_m * PX_PER_M), int(storeys * STOREY_M * PX_PER_M)
    colour = _WALLS[variant % len(_WALLS)]
    image = _wall(rng, colour, (height, width))
    draw = ImageDraw.Draw(image)
    storey = height / storeys
    columns = max(2, round(width_m / rng.uniform(1.9, 3.2)))
    pitch = width / columns
    wide, tall = pitch * rng.uniform(0.3, 0.55), storey * rng.uniform(0.48, 0.62)
    office = rng.random() < 0.2
    for row in range(storeys):
        top = row * storey + (storey - tall) * 0.45
        if office:
            draw.rectangle((0, top, width, top + tall), (44, 50, 58))
            for column in range(columns * 2):
                level = int(rng.uniform(26, 110))
                x = column * pitch / 2
                draw.rectangle((x + 2, top + 3, x + pitch / 2 - 2, top + tall - 3), (level, level + 5, level + 10))
            continue
        if row == storeys - 1:
            break
        for column in range(columns):
            x = (column + 0.5) * pitch
            _window(draw, rng, (x - wide / 2, top, x + wide / 2, top + tall))
    ground = height - storey
    if not office and rng.random() < 0.5:  # a shop
        paint = _PAINT[int(rng.integers(len(_PAINT)))]
        draw.rectangle((0, ground, width, height), paint)
        draw.rectangle((4, ground + 4, width - 4, ground + 20), graded(paint, 1.25))
        for letter in range(int(width * 0.2), int(width * 0.8), 7):
            draw.rectangle((letter, ground + 8, letter + 4, ground + 15), (196, 186, 150))
        panes = max(2, round(width_m / 1.8))
        for pane in range(panes):
            x = pane * width / panes
            level = int(rng.uniform(14, 50))
            draw.rectangle((x + 4, ground + 25, x + width / panes - 4, height - 14), (level, level + 2, level + 6))
            for _ in range(5):  # things in the window
                px, py = rng.uniform(x + 6, x + width / panes - 16), rng.uniform(ground + 40, height - 26)
                goods = tuple(int(c) for c in rng.uniform(20, 140, 3))
                draw.rectangle((px, py, px + rng.uniform(3, 12), py + rng.uniform(3, 10)), goods)
    elif not office:  # a dwelling
        door = int(rng.integers(columns))
        for column in range(columns):
            x = (column + 0.5) * pitch
            if column == door:
                draw.rectangle((x - 17, height - 74, x + 17, height), (190, 186, 176))
                draw.rectangle((x - 14, height - 70, x + 14, height), _PAINT[int(rng.integers(len(_PAINT)))])
                draw.rectangle((x - 12, height - 68, x + 12, height - 58), (40, 44, 50))
            else:
                top = ground + (storey - tall) * 0.45
                _window(draw, rng, (x - wide / 2, top, x + wide / 2, top + tall))
    draw.rectangle((0, 0, width, 5), graded(colour, 0.55))  # gutter and its shade
    draw.rectangle((0, 6, width, 8), graded(colour, 1.15))
    draw.rectangle((width - 5, 0, width - 2, height), (52, 50, 50))  # drain pipe
    return Texture(image)


@lru_cache(None)
def flank(variant: int, gabled: bool) -> Texture:
    """The blind side of a house, eight metres wide; with a gable, its top quarter is a triangle."""
    rng = generator(6, variant % len(_WALLS))
    image = _wall(rng, graded(_WALLS[variant % len(_WALLS)], 0.9), (288, 256))
    if gabled:
        mask = Image.new("L", image.size, 0)
        ImageDraw.Draw(mask).polygon([(0, 288), (0, 72), (128, 0), (256, 72), (256, 288)], 255)
        image.putalpha(mask)
    return Texture(image)


@lru_cache(None)
def roof(variant: int) -> Texture:
    """Slates or tiles."""
    rng = generator(7, variant)
    rows = rng.normal(0, 9, (24, 40)).astype(np.float32).repeat(6, 0).repeat(6, 1)
    rows[::6] -= 16
    return Texture(painted(((74, 74, 82), (112, 76, 60), (84, 72, 66))[variant % 3], rows))
