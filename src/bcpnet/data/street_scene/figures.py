"""Figures of `streets`: trees, people and bicyclists, each drawn once per variant."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bcpnet.data.street_scene.scene import Texture
from bcpnet.data.street_scene.surfaces import Colour, clouded, generator, painted

STRIDES = 8  # pictures in one cycle of a walk or a turn of the pedals

_CLOTHES: tuple[Colour, ...] = (
    (24, 24, 28), (34, 38, 56), (58, 44, 36), (28, 26, 26), (84, 30, 32), (60, 62, 66), (34, 52, 44), (120, 116, 108),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = ((22, 22, 26), (36, 42, 60), (54, 50, 46), (30, 30, 30))
_SKIN: tuple[Colour, ...] = ((176, 138, 118), (150, 110, 90), (96, 66, 52))
_FRAMES: tuple[Colour, ...] = ((40, 44, 50), (120, 30, 32), (40, 60, 110), (150, 152, 152))
_HAIR: tuple[Colour, ...] = ((40, 30, 24), (26, 24, 22), (96, 76, 50), (110, 108, 104))


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


@lru_cache(None)
def bare_tree(variant: int) -> Texture:
    """A leafless tree, 7 m wide and 8 m high: boughs in a haze of twigs."""
    rng = generator(20, variant)
    boughs: list[tuple[float, float, float, float, float]] = []

    def grow(x: float, y: float, angle: float, length: float, thickness: float) -> None:
        end_x, end_y = x + length * math.cos(angle), y - length * math.sin(angle)
        boughs.append((x, y, end_x, end_y, thickness))
        if thickness > 1.3:
            for turn in rng.normal((-0.45, 0.05, 0.45), 0.22):
                upward = 0.12 * (math.pi / 2 - angle)
                grow(end_x, end_y, angle + turn + upward, length * rng.uniform(0.62, 0.9), thickness * 0.64)

    grow(0, 0, math.pi / 2 + rng.normal(0, 0.04), 80, 12)
    width, height = 280, 320
    lines = np.array(boughs)
    reach, top = np.abs(lines[:, :4:2]).max(), -lines[:, 1:4:2].min()
    lines[:, :4:2] = width / 2 + lines[:, :4:2] * (width / 2 - 12) / reach
    lines[:, 1:4:2] = height + lines[:, 1:4:2] * (height - 12) / top
    haze = Image.new("L", (width, height))
    twigs = Image.new("L", (width, height))
    brush, pen = ImageDraw.Draw(haze), ImageDraw.Draw(twigs)
    for x0, y0, x1, y1, thickness in lines.tolist():
        pen.line((x0, y0, x1, y1), 255, max(1, round(thickness)))
        if thickness < 2.2:
            brush.line((x0, y0, x1, y1), 255, 12)
            for angle in rng.uniform(0, 2 * math.pi, 3):
                pen.line((x1, y1, x1 + 15 * math.cos(angle), y1 - 15 * math.sin(angle)), 200, 1)
    soft = np.asarray(haze.filter(ImageFilter.GaussianBlur(4)), np.float32) / 255
    alpha = soft * (138 + 60 * clouded(rng, (height, width), (3, 2)))
    relief = 8 * clouded(rng, (height, width), (30, 4))
    return Texture(painted((56, 51, 46), relief, np.maximum(alpha, np.asarray(twigs, np.float32))))


@lru_cache(None)
def leafy_tree(variant: int) -> Texture:
    """An evergreen, 6 m wide and 8 m high: leaves in light and shade, and a trunk."""
    rng = generator(21, variant)
    height, width = 320, 240
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    crown, light = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for _ in range(24):
        cy = rng.uniform(46, 220)
        radius = rng.uniform(30, 50)
        cx = np.clip(rng.normal(120, 30 * math.sin(cy / 230 * math.pi) + 6), radius + 4, width - radius - 4)
        near = 1 - np.hypot(x - cx, y - cy) / radius
        light = np.where(near > crown, (cy - y) / radius, light)
        crown = np.maximum(crown, near)
    leaves = clouded(rng, (height, width), (16, 7, 3))
    alpha = 255 * np.clip((crown - 0.2 + 0.06 * leaves) * 12, 0, 1)
    relief = 18 * light + 13 * leaves + rng.normal(0, 9, (height, width)).astype(np.float32) - 8
    colour = ((56, 66, 36), (48, 60, 40), (80, 78, 44))[variant % 3]
    image = Image.new("RGBA", (width, height))
    ImageDraw.Draw(image).polygon([(113, 180), (127, 180), (131, 320), (109, 320)], (60, 52, 44))
    return Texture(Image.alpha_composite(image, painted(colour, relief, alpha)))


def _limb(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: Colour, thickness: int) -> None:
    draw.line(points, colour, thickness, joint="curve")
    for x, y in points:
        r = thickness / 2 - 0.5
        draw.ellipse((x - r, y - r, x + r, y + r), colour)


def _swing(stride: int) -> float:
    return math.sin(2 * math.pi * stride / STRIDES)


@lru_cache(None)
def pedestrian(variant: int) -> tuple[Texture, ...]:
    """Someone who walks, 1.0 m wide and 1.8 m high: the strides of one cycle."""
    return tuple(_pedestrian(variant, stride) for stride in range(STRIDES))


def _pedestrian(variant: int, stride: int) -> Texture:
    rng = generator(22, variant)
    coat, trousers, skin, hair = (_pick(rng, c) for c in (_CLOTHES, _TROUSERS, _SKIN, _HAIR))
    long_coat, bag, sideways = rng.random(3) < (0.35, 0.4, 0.4)
    reach = 20 * _swing(stride) * (1.0 if sideways else 0.45)
    image = Image.new("RGBA", (100, 180))
    draw = ImageDraw.Draw(image)
    dark: Colour = (coat[0] * 3 // 4, coat[1] * 3 // 4, coat[2] * 3 // 4)
    hips = (50.0, 50.0) if sideways else (43.0, 57.0)
    for hip, way in zip(hips, (1, -1), strict=True):
        foot = hip + way * reach if sideways else hip
        lift = max(0.0, way * reach) * 0.25
        _limb(draw, [(hip, 92), ((hip + foot) / 2 + 2, 132), (foot, 170 - lift)], trousers, 14)
        draw.ellipse((foot - 7, 168 - lift, foot + 9, 179 - lift), (18, 16, 16))
    shoulder = 11 if sideways else 17
    arm = -reach * 0.8
    _limb(draw, [(50 - shoulder, 44), (50 - shoulder - 4 + arm, 72), (50 - shoulder - 2 + 1.4 * arm, 94)], dark, 10)
    hem = 122 if long_coat else 100
    draw.polygon([(50 - shoulder, 36), (50 + shoulder, 36), (50 + shoulder + 2, hem), (50 - shoulder - 2, hem)], coat)
    draw.ellipse((50 - shoulder - 2, 31, 50 + shoulder + 2, 62), coat)
    draw.rectangle((50 + shoulder - 7, 44, 50 + shoulder + 2, hem), dark)
    _limb(draw, [(50 + shoulder, 44), (50 + shoulder + 4 - arm, 72), (50 + shoulder + 2 - 1.4 * arm, 94)], dark, 10)
    if bag:
        draw.rectangle((50 - shoulder - 12, 78, 50 - shoulder + 6, 104), _pick(rng, _CLOTHES))
    draw.rectangle((45, 24, 55, 36), skin)
    draw.ellipse((40, 2, 60, 30), hair)
    if rng.random() < 0.6:  # seen from the front or the side
        draw.ellipse((43, 9, 60 if sideways else 57, 29), skin)
    return Texture(image)


@lru_cache(None)
def bicyclist(variant: int) -> tuple[Texture, ...]:
    """A rider on a bicycle, upright, for one turn of the pedals: 0.9 x 1.8 m along the street, 1.8 x 1.8 m across."""
    return tuple(_rider_along(variant, stride) for stride in range(STRIDES))


def _rider_along(variant: int, stride: int) -> Texture:
    """As seen from behind or in front."""
    rng = generator(23, variant)
    coat, trousers, skin, hair = (_pick(rng, c) for c in (_CLOTHES, _TROUSERS, _SKIN, _HAIR))
    image = Image.new("RGBA", (90, 180))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((41, 108, 49, 179), 4, (16, 16, 18))
    draw.rectangle((43, 84, 47, 140), (60, 60, 64))
    draw.line((18, 84, 72, 84), (40, 40, 44), 4)
    for side, way in ((-1, 1), (1, -1)):
        knee = 124 + 12 * way * _swing(stride)
        foot = 152 + 14 * way * _swing(stride)
        _limb(draw, [(45 + side * 8, 94), (45 + side * 14, knee), (45 + side * 11, foot)], trousers, 12)
        draw.ellipse((45 + side * 11 - 6, foot - 3, 45 + side * 11 + 6, foot + 7), (18, 18, 20))
        _limb(draw, [(45 + side * 17, 40), (45 + side * 25, 62), (45 + side * 24, 84)], coat, 10)
    draw.ellipse((24, 28, 66, 66), coat)
    draw.polygon([(26, 44), (64, 44), (60, 98), (30, 98)], coat)
    if rng.random() < 0.5:
        draw.rounded_rectangle((32, 40, 58, 78), 6, _pick(rng, _CLOTHES))
    draw.rectangle((40, 22, 50, 34), skin)
    draw.ellipse((35, 0, 55, 28), hair)
    if rng.random() < 0.4:
        draw.ellipse((38, 8, 52, 27), skin)
    if rng.random() < 0.4:
        draw.pieslice((33, -2, 57, 26), 180, 360, (200, 196, 60))
    return Texture(image)


@lru_cache(None)
def bicyclist_across(variant: int) -> tuple[Texture, ...]:
    """A rider seen from the side, 1.8 m wide and 1.8 m high."""
    return tuple(_rider_across(variant, stride) for stride in range(STRIDES))


def _rider_across(variant: int, stride: int) -> Texture:
    rng = generator(24, variant)
    coat, trousers, skin, hair = (_pick(rng, c) for c in (_CLOTHES, _TROUSERS, _SKIN, _HAIR))
    frame = _pick(rng, _FRAMES)
    image = Image.new("RGBA", (180, 180))
    draw = ImageDraw.Draw(image)
    for x in (37, 143):
        draw.ellipse((x - 35, 109, x + 35, 179), (60, 60, 62, 140))  # spokes
        draw.ellipse((x - 35, 109, x + 35, 179), None, (16, 16, 18), 5)
    draw.line((37, 144, 70, 100, 126, 98, 84, 146, 37, 144), frame, 5)
    draw.line((66, 90, 84, 146), frame, 5)
    draw.line((143, 144, 124, 84, 134, 80), frame, 5)
    for way in (-1, 1):
        turn = 2 * math.pi * stride / STRIDES + (0 if way > 0 else math.pi)
        foot = 84 + 15 * math.cos(turn), 146 + 15 * math.sin(turn)
        _limb(draw, [(66, 86), ((66 + foot[0]) / 2 + 20, (86 + foot[1]) / 2 - 4), foot], trousers, 13)
    _limb(draw, [(66, 84), (84, 50), (94, 40)], coat, 26)
    _limb(draw, [(92, 44), (106, 66), (130, 80)], coat, 10)
    draw.ellipse((92, 4, 116, 32), hair)
    draw.ellipse((100, 10, 117, 31), skin)
    return Texture(image)
