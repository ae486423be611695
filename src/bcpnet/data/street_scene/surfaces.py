"""Surfaces of `streets`: ground, fences, signs and sky, each drawn once per variant; and how noise is made."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from bcpnet.data.street_scene.scene import Texture

Field = npt.NDArray[np.float32]
Colour = tuple[int, int, int]


def generator(*key: int) -> np.random.Generator:
    """The generator that draws one texture: the same for the same key, whatever was drawn before."""
    return np.random.default_rng([1805, *key])


def clouded(rng: np.random.Generator, size_hw: tuple[int, int], cells: tuple[float, ...]) -> Field:
    """Smooth noise, about standard normal: one octave per cell size (pixels), the larger the stronger."""
    height, width = size_hw
    total = np.zeros(size_hw, np.float32)
    for cell in cells:
        grid = rng.standard_normal((int(height / cell) + 2, int(width / cell) + 2), np.float32)
        octave = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(octave)
    return total / np.float32(len(cells) ** 0.5 * 0.75)


def painted(colour: Colour, relief: Field, alpha: Field | None = None) -> Image.Image:
    """RGBA picture of one colour, lighter and darker by `relief` (grey levels)."""
    pixels = np.full((*relief.shape, 4), 255, np.uint8)
    pixels[..., :3] = np.clip(np.asarray(colour, np.float32) + relief[..., None], 0, 255)
    if alpha is not None:
        pixels[..., 3] = np.clip(alpha, 0, 255)
    return Image.fromarray(pixels, "RGBA")


def graded(colour: Colour, factor: float) -> Colour:
    """The colour, lighter or darker."""
    red, green, blue = (min(255, int(c * factor)) for c in colour)
    return red, green, blue


@lru_cache(None)
def asphalt(variant: int) -> Texture:
    """Eight metres square of worn road."""
    rng = generator(1, variant)
    side = 8 * 48
    relief = 5 * clouded(rng, (side, side), (120, 50, 16)) + rng.normal(0, 6, (side, side)).astype(np.float32)
    tracks = np.cos(np.linspace(0, 4 * np.pi, side, dtype=np.float32)) * 4  # wheels polish two bands per lane
    image = painted((96, 97, 100), relief + tracks)
    draw = ImageDraw.Draw(image)
    for _ in range(3):  # cracks
        spots = np.cumsum(rng.normal(0, 14, (9, 2)), 0) + rng.uniform(0, side, 2)
        draw.line([(float(x), float(y)) for x, y in spots], (66, 66, 68), 2)
    if variant % 3 == 0:  # a mended trench and a manhole
        x, y = rng.uniform(40, side - 140, 2)
        draw.rectangle((x, y, x + 90, y + 130), (78, 78, 80))
        draw.ellipse((x + 120, y + 20, x + 148, y + 48), (62, 60, 58))
    return Texture(image)


@lru_cache(None)
def paving(variant: int) -> Texture:
    """Pavement, three metres by eight: slabs, or plain tarmac."""
    rng = generator(2, variant)
    width, height = 3 * 48, 8 * 48
    relief = 5 * clouded(rng, (height, width), (60, 20)) + rng.normal(0, 4, (height, width)).astype(np.float32)
    image = painted((122, 119, 114) if variant % 3 else (108, 106, 106), relief)
    if variant % 3:
        draw = ImageDraw.Draw(image)
        slab = 36
        for y in range(0, height, slab):
            draw.line((0, y, width, y), (92, 90, 86), 1)
            for x in range(y // slab % 2 * slab // 2, width, slab * (1 + variant % 2)):
                draw.line((x, y, x, y + slab), (96, 94, 90), 1)
    return Texture(image)


@lru_cache(None)
def grass(variant: int) -> Texture:
    """Eight metres square of lawn."""
    rng = generator(3, variant)
    relief = 10 * clouded(rng, (192, 192), (40, 12, 4)) + rng.normal(0, 14, (192, 192)).astype(np.float32)
    return Texture(painted((86, 98, 54), relief))


@lru_cache(None)
def plain(colour: Colour, alpha: int = 255) -> Texture:
    """One colour."""
    return Texture(Image.new("RGBA", (8, 8), (*colour, alpha)))


@lru_cache(None)
def shade(strength: int) -> Texture:
    """A soft dark blot: the shadow under a thing."""
    y, x = np.mgrid[-1:1:48j, -1:1:48j].astype(np.float32)
    alpha = strength * np.clip(1.6 * (1 - np.maximum(np.abs(x), np.abs(y)) ** 2), 0, 1)
    return Texture(painted((8, 9, 12), np.zeros((48, 48), np.float32), alpha))


@lru_cache(None)
def fence(variant: int) -> Texture:
    """Two metres of iron railings or of wooden boards."""
    rng = generator(8, variant)
    image = Image.new("RGBA", (128, 72))
    draw = ImageDraw.Draw(image)
    if variant % 2:
        for x in range(0, 128, 8):
            level = rng.uniform(0.75, 1.15)
            draw.rectangle((x, 4 - x % 16 // 8, x + 6, 72), graded((112, 92, 70), level))
            draw.rectangle((x + 7, 4, x + 7, 72), (40, 34, 28))
        draw.rectangle((0, 10, 128, 13), (84, 68, 52))
    else:
        draw.rectangle((0, 6, 128, 66), (30, 32, 34, 150))  # what is seen between the bars
        for x in range(1, 128, 8):
            draw.rectangle((x, 0, x + 2, 72), (26, 27, 29))
        draw.rectangle((0, 8, 128, 11), (30, 31, 33))
        draw.rectangle((0, 62, 128, 65), (30, 31, 33))
    return Texture(image)


@lru_cache(None)
def hedge(variant: int) -> Texture:
    """Two metres of hedge."""
    rng = generator(9, variant)
    relief = 14 * clouded(rng, (80, 128), (20, 8, 3)) + np.linspace(18, -26, 80, dtype=np.float32)[:, None]
    edge = 3 + 3 * clouded(rng, (80, 128), (10, 4))
    alpha = 255.0 * (np.arange(80)[:, None] > edge).astype(np.float32)
    return Texture(painted((54, 62, 38), relief, alpha))


@lru_cache(None)
def disc(variant: int) -> Texture:
    """A round road sign: a prohibition or an order."""
    rng = generator(10, variant)
    order = variant % 3 == 2
    image = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(image)
    draw.ellipse((0, 0, 63, 63), (24, 66, 140) if order else (176, 28, 34))
    if not order and variant % 3 == 1:  # no entry
        draw.rectangle((12, 27, 52, 37), (222, 222, 218))
        return Texture(image)
    if not order:
        draw.ellipse((9, 9, 54, 54), (222, 222, 218))
    spots = [(float(x), float(y)) for x, y in rng.uniform(18, 46, (4, 2))]
    draw.line(spots, (222, 222, 222) if order else (24, 24, 26), 6)
    return Texture(image)


@lru_cache(None)
def traffic_light(variant: int) -> Texture:
    """Three lamps in a black case, one of them lit."""
    image = Image.new("RGBA", (35, 96), (16, 17, 18))
    draw = ImageDraw.Draw(image)
    for lamp, colour in enumerate(((210, 40, 30), (220, 150, 30), (40, 210, 110))):
        y = 32 * lamp + 16
        draw.ellipse((8, y - 9, 26, y + 9), colour if lamp == variant % 3 else (34, 30, 28))
    return Texture(image)


@lru_cache(None)
def board(variant: int) -> Texture:
    """A board with text: directions, a shop, an advertisement."""
    rng = generator(11, variant)
    colours: tuple[Colour, ...] = (
        (30, 64, 110), (200, 198, 190), (24, 74, 54), (140, 40, 40), (44, 44, 48), (180, 150, 50), (196, 194, 190),
    )  # fmt: skip
    ground = colours[int(rng.integers(len(colours)))]
    text = (30, 30, 34) if sum(ground) > 360 else (222, 220, 212)
    image = Image.new("RGBA", (88, 80), text)
    draw = ImageDraw.Draw(image)
    draw.rectangle((3, 3, 84, 76), ground)
    for y in range(12, 68, 16):
        for x in range(10, int(rng.uniform(48, 80)), 9):
            draw.rectangle((x, y, x + 5, y + 8), text)
    return Texture(image)


def sky(rng: np.random.Generator, clouds: float, brightness: float) -> Image.Image:
    """RGB picture of the sky, 160 x 240: blue or grey overhead, blown out to white towards the horizon."""
    height, width = 160, 240
    cover = clouded(rng, (height, width), (90, 45, 24, 12))
    down = np.linspace(0, 2, height, dtype=np.float32)[:, None]
    white = np.clip(0.3 + 0.6 * clouds + 0.8 * down + cover * 0.3 * (1 - down), 0, 1)[..., None]
    blue, pale = np.array([172, 212, 240], np.float32), np.array([250, 252, 252], np.float32)
    grey = (np.maximum(0, cover) * 14 * clouds)[..., None]
    return Image.fromarray(np.clip((blue * (1 - white) + pale * white - grey) * brightness, 0, 255).astype(np.uint8))
