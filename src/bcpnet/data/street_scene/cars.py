"""Cars of `streets`: saloons, hatchbacks and vans as tapered boxes, their faces drawn once per paint."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from bcpnet.data.street_scene.scene import Texture, Vector
from bcpnet.data.street_scene.street import CAR, Street
from bcpnet.data.street_scene.surfaces import Colour, clouded, generator, painted

PAINTS: tuple[Colour, ...] = (
    (46, 48, 54), (142, 146, 150), (30, 40, 74), (104, 24, 28), (160, 162, 162),
    (22, 24, 26), (34, 56, 52), (84, 88, 98), (136, 138, 138),
)  # fmt: skip


class _Body(NamedTuple):
    """A body's measures, metres; the belt is where its windows begin.

    `stations` are distances from the rear: foot and head of the rear window, head and foot of the windscreen;
    `lean` is how far its pillars lean in.
    """

    length: float
    width: float
    belt: float
    top: float
    lean: float
    panes: int
    stations: tuple[float, float, float, float]


_HATCHBACK = _Body(3.9, 1.7, 0.92, 1.44, 0.17, 3, (0.06, 0.4, 2.0, 2.95))
_SALOON = _Body(4.4, 1.7, 0.92, 1.44, 0.17, 3, (0.5, 1.2, 2.4, 3.3))
_VAN = _Body(4.8, 1.9, 1.15, 2.1, 0.1, 2, (0.02, 0.1, 3.3, 4.0))

_GLASS: Colour = (24, 28, 34)


def _shine(image: Image.Image, rng: np.random.Generator) -> Texture:
    """Reflections: lighter towards the top, blotched."""
    pixels = np.asarray(image).astype(np.float32)
    height, width = pixels.shape[:2]
    relief = np.linspace(16, -14, height, dtype=np.float32)[:, None] + 6 * clouded(rng, (height, width), (40, 12))
    pixels[..., :3] = np.clip(pixels[..., :3] + relief[..., None], 0, 255)
    return Texture(Image.fromarray(pixels.astype(np.uint8), "RGBA"))


@lru_cache(None)
def car_side(paint: Colour, length_m: float, top_m: float) -> Texture:
    """A car's side below the windows, wheels included, up to `top_m`; its front is on the right."""
    width, height = int(length_m * 64), int(top_m * 64)
    image = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(image)
    draw.polygon(
        [(2, 4), (width * 0.72, 0), (width - 4, height * 0.2), (width - 1, height - 14), (0, height - 14)], paint
    )
    draw.rectangle((6, height - 20, width - 6, height - 12), (22, 22, 24))
    for share in (0.2, 0.81):
        x, r = width * share, 21
        draw.ellipse((x - r - 3, height - 2 * r - 4, x + r + 3, height + 2), (10, 10, 12))
        draw.ellipse((x - r, height - 2 * r, x + r, height), (24, 24, 26))
        draw.ellipse((x - 13, height - r - 13, x + 13, height - r + 13), (126, 128, 130))
        draw.ellipse((x - 6, height - r - 6, x + 6, height - r + 6), (70, 72, 74))
    seam = (paint[0] * 2 // 3, paint[1] * 2 // 3, paint[2] * 2 // 3)
    for share in (0.33, 0.52, 0.7):
        draw.line((width * share, 4, width * share, height - 20), seam, 1)
    draw.rectangle((0, 8, 7, 20), (140, 24, 22))
    draw.rectangle((width - 12, height * 0.28, width - 3, height * 0.45), (214, 214, 206))
    return _shine(image, generator(25, *paint))


@lru_cache(None)
def car_windows(paint: Colour, rear: float, front: float, panes: int) -> Texture:
    """The windows of a car's side; `rear` and `front` say how far the pillars lean in, as shares of the width."""
    image = Image.new("RGBA", (480, 120))
    draw = ImageDraw.Draw(image)
    left, right = 480 * rear, 480 * (1 - front)
    draw.polygon([(0, 120), (left, 0), (right, 0), (480, 120)], paint)
    draw.polygon([(24, 108), (left + 13, 14), (right - 8, 14), (450, 108)], _GLASS)
    draw.polygon([(75, 108), (left + 45, 14), (left + 100, 14), (150, 108)], (60, 66, 74))
    for pane in range(1, panes):
        x = left + (right - left) * pane / panes
        draw.rectangle((x - 5, 0, x + 5, 120), paint)
    return Texture(image)


@lru_cache(None)
def car_glass(paint: Colour, taper: float) -> Texture:
    """A windscreen or rear window in its frame, narrower at the top."""
    image = Image.new("RGBA", (336, 120))
    draw = ImageDraw.Draw(image)
    inset = 336 * taper
    draw.polygon([(0, 120), (inset, 0), (336 - inset, 0), (336, 120)], paint)
    draw.polygon([(21, 110), (inset + 18, 12), (318 - inset, 12), (315, 110)], _GLASS)
    draw.polygon([(inset + 24, 15), (312 - inset, 15), (294, 48), (48, 48)], (104, 114, 124))
    return Texture(image)


@lru_cache(None)
def car_top(paint: Colour) -> Texture:
    """A roof or bonnet, in which the sky shows."""
    relief = 40 + 14 * clouded(generator(27, *paint), (48, 48), (30, 14))
    return Texture(painted(paint, relief))


@lru_cache(None)
def car_end(paint: Colour, rear: bool) -> Texture:
    """The rear or the front of a car below the windows, 1.7 m wide."""
    image = Image.new("RGBA", (112, 62))
    draw = ImageDraw.Draw(image)
    draw.rectangle((6, 44, 22, 61), (14, 14, 16))
    draw.rectangle((90, 44, 106, 61), (14, 14, 16))
    draw.rounded_rectangle((0, 0, 111, 50), 5, paint)
    draw.rectangle((2, 34, 109, 46), tuple(c * 3 // 4 for c in paint))
    draw.rectangle((8, 47, 104, 52), (16, 16, 18))
    if rear:
        for x in (2, 94):
            draw.rectangle((x, 6, x + 15, 24), (142, 22, 22))
            draw.rectangle((x + 3, 18, x + 12, 22), (206, 130, 80))
        draw.rectangle((40, 24, 72, 32), (206, 178, 60))
    else:
        for x in (3, 87):
            draw.rounded_rectangle((x, 8, x + 22, 21), 4, (224, 226, 222))
        draw.rectangle((32, 10, 80, 20), (22, 22, 24))
        draw.rectangle((40, 34, 72, 42), (226, 226, 218))
    return _shine(image, generator(26, *paint, int(rear)))


def add_car(street: Street, x: float, z: float, heading: int, pace: float = 0.0) -> None:
    """A car whose nearest point is at z, heading away from the camera (1) or towards it (-1)."""
    rng = street.rng
    paint = PAINTS[int(rng.integers(len(PAINTS)))]
    kind = float(rng.random())
    body = _VAN if kind < 0.15 else _SALOON if kind < 0.45 else _HATCHBACK
    length, half, belt, top, lean = body.length, body.width / 2, body.belt, body.top, body.lean
    foot_rear, head_rear, head_front, foot_front = body.stations
    bonnet = 0.72 * belt
    rear = z if heading > 0 else z + length

    def face(corner: Vector, across: Vector, down: Vector, texture: Texture) -> None:
        """One face, given in metres right of the car's axis, above the road and ahead of its rear."""
        street.scene.add(
            (x + heading * corner[0], corner[1], rear + heading * corner[2]),
            (heading * across[0], across[1], heading * across[2]),
            (heading * down[0], down[1], heading * down[2]),
            texture, CAR, order=(x, z), inside=(x, belt * 0.7, z + length / 2), velocity=(0, 0, pace),
        )  # fmt: skip

    street.blot(x, z + length / 2, body.width + 0.7, length + 0.8, 235, pace)
    sheet, glass = car_top(paint), car_glass(paint, lean / body.width)
    run = foot_front - foot_rear
    windows = car_windows(paint, (head_rear - foot_rear) / run, (foot_front - head_front) / run, body.panes)
    for way in (-1, 1):
        face((way * half, belt, 0), (0, 0, length), (0, -belt, 0), car_side(paint, length, belt))
    face((-half, belt, 0), (body.width, 0, 0), (0, -belt, 0), car_end(paint, True))
    face((half, bonnet, length), (-body.width, 0, 0), (0, -bonnet, 0), car_end(paint, False))
    face((-half, belt, foot_rear), (body.width, 0, 0), (0, 0, -foot_rear), sheet)
    face((-half, belt, foot_front), (body.width, 0, 0), (0, bonnet - belt, length - foot_front), sheet)
    deep = 1.12 * (belt - top)  # below the belt, so that no gap opens there
    for way in (-1, 1):
        face((way * (half - lean), top, foot_rear), (0, 0, run), (way * lean, deep, 0), windows)
    face((-half, top, head_rear), (body.width, 0, 0), (0, belt - top, foot_rear - head_rear), glass)
    face((half, top, head_front), (-body.width, 0, 0), (0, belt - top, foot_front - head_front), glass)
    face((lean - half, top, head_front), (body.width - 2 * lean, 0, 0), (0, 0, head_rear - head_front), sheet)
